"""A .tflite file, piece by piece: tensors, operators, graphs with signatures, shared constants.

The classes of the format come from `ai_edge_litert.schema_py_generated`. Graphs of one file share
what they have in common: equal constants are written once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.litert.codes import CODES, OpCode
from edgesam_rt.types import AnyArray

_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_ALIGNMENT = 16  # bytes, as the format asks of constants
_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8,
    "bool": schema.TensorType.BOOL,
}


@dataclass(frozen=True, eq=False)
class Quant:
    """How integers stand for numbers: value = (integer - zero) * scale.

    Attributes:
        scale: (1,), or one per entry of `axis`.
        zero: of the same length.
        axis: where there are several.
    """

    scale: AnyArray
    zero: AnyArray
    axis: int = 0

    def equals(self, other: Quant) -> bool:
        """Whether both read integers alike."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)


class Graph:
    """One graph of a file. Tensors are numbers."""

    def __init__(self, file: File, name: str) -> None:
        self._file = file
        self.made = schema.SubGraphT()
        self.made.name = name.encode()
        self.made.tensors, self.made.operators = [], []
        self._told: list[tuple[str, tuple[int, ...], str, Quant | None]] = []

    def tensor(
        self, name: str, shape: Sequence[int], dtype: str, quant: Quant | None = None
    ) -> int:
        """Add a tensor that an operator or the caller fills."""
        return self._add(name, tuple(shape), dtype, 0, quant)

    def constant(self, name: str, values: AnyArray, quant: Quant | None = None) -> int:
        """Add a tensor with values; LiteRT has 32 bits where ONNX has 64."""
        if values.dtype == np.int64:
            values = values.astype(np.int32)
        buffer = self._file.buffer(values)
        return self._add(name, values.shape, str(values.dtype), buffer, quant)

    def operator(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int], **options: object
    ) -> None:
        """Add an operator; `options` are fields of its options table."""
        row = CODES[code]
        added = schema.OperatorT()
        added.opcodeIndex = self._file.opcode(code, row, self.dtype(outputs[0]) == "int8")
        added.inputs = np.array(inputs, np.int32)
        added.outputs = np.array(outputs, np.int32)
        if row.options is not None:
            table = getattr(schema, f"{row.options}T")()
            for field, value in options.items():
                assert hasattr(table, field), field
                setattr(table, field, value)
            added.builtinOptionsType = getattr(schema.BuiltinOptions, row.options)
            added.builtinOptions = table
        self.made.operators.append(added)

    def name(self, tensor: int) -> str:
        """Of a tensor."""
        return self._told[tensor][0]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of a tensor."""
        return self._told[tensor][1]

    def dtype(self, tensor: int) -> str:
        """Of a tensor, numpy's name."""
        return self._told[tensor][2]

    def quant(self, tensor: int) -> Quant | None:
        """What a tensor's integers stand for."""
        return self._told[tensor][3]

    def _add(
        self, name: str, shape: tuple[int, ...], dtype: str, buffer: int, quant: Quant | None
    ) -> int:
        added = schema.TensorT()
        added.name, added.buffer, added.type = name.encode(), buffer, _TYPES[dtype]
        added.shape, added.hasRank = np.array(shape, np.int32), True
        if quant is not None:
            how = schema.QuantizationParametersT()
            how.scale = np.atleast_1d(quant.scale).astype(np.float32)
            how.zeroPoint = np.atleast_1d(quant.zero).astype(np.int64)
            how.quantizedDimension = quant.axis
            added.quantization = how
        self.made.tensors.append(added)
        self._told.append((name, shape, dtype, quant))
        return len(self.made.tensors) - 1


class File:
    """A .tflite file while it is made."""

    def __init__(self, description: str) -> None:
        self._model = schema.ModelT()
        self._model.version = _SCHEMA_VERSION
        self._model.description = description.encode()
        self._model.subgraphs, self._model.signatureDefs = [], []
        self._model.operatorCodes, self._model.buffers = [], [schema.BufferT()]
        self._buffers: dict[bytes, int] = {}
        self._codes: dict[tuple[str, int], int] = {}

    def graph(self, name: str) -> Graph:
        """Add a graph; the first one is what callers without signatures get."""
        added = Graph(self, name)
        self._model.subgraphs.append(added.made)
        return added

    def sign(self, graph: Graph, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """Say which tensors a graph takes and gives, by name; the signature goes by its name."""
        graph.made.inputs = np.array(list(inputs.values()), np.int32)
        graph.made.outputs = np.array(list(outputs.values()), np.int32)
        signed = schema.SignatureDefT()
        signed.signatureKey = graph.made.name
        signed.subgraphIndex = self._model.subgraphs.index(graph.made)
        signed.inputs, signed.outputs = _named(inputs), _named(outputs)
        self._model.signatureDefs.append(signed)

    def buffer(self, values: AnyArray) -> int:
        """Where these bytes are; the same for the same bytes."""
        raw = np.ascontiguousarray(values).tobytes()
        if raw not in self._buffers:
            added = _Aligned()
            added.data = np.frombuffer(raw, np.uint8)
            self._buffers[raw] = len(self._model.buffers)
            self._model.buffers.append(added)
        return self._buffers[raw]

    def opcode(self, name: str, row: OpCode, in_integers: bool) -> int:
        """Where an operator's code is in the file's list."""
        version = row.int8_version if in_integers else row.version
        if (name, version) not in self._codes:
            added = schema.OperatorCodeT()
            added.builtinCode = getattr(schema.BuiltinOperator, name)
            added.deprecatedBuiltinCode = min(added.builtinCode, _LAST_OLD_CODE)
            added.version = version
            self._codes[name, version] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(added)
        return self._codes[name, version]

    def content(self) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())


_LAST_OLD_CODE = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES


class _Aligned(schema.BufferT):  # type: ignore[misc]  # the schema has no types
    """A buffer where the format wants it; the generated class forgets the alignment."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  the generated name
        builder.StartVector(1, len(self.data), _ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data.tobytes()
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def _named(tensors: Mapping[str, int]) -> list[Any]:
    maps = []
    for name, index in tensors.items():
        added = schema.TensorMapT()
        added.name, added.tensorIndex = name.encode(), index
        maps.append(added)
    return maps
