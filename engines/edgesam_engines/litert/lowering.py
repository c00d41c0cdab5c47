"""One ONNX graph on its way into a LiteRT graph: where each of its values is, and in which order.

ONNX turns values around (NCHW, transposed keys); LiteRT wants channels last and minds every copy.
So a value is known by its ONNX shape and by the order in which its axes lie in memory. Transposing
changes the order only, reshaping the shape only; memory is touched when an operator needs another
order than there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Graph, Quant
from edgesam_engines.litert.turning import turning_steps
from edgesam_rt.types import AnyArray

FUSED = "activation"  # an attribute of ours: a Relu that follows the operation


@dataclass(frozen=True)
class Value:
    """A tensor of the LiteRT graph as the ONNX graph sees it.

    Attributes:
        tensor: its number.
        shape: in ONNX.
        order: axes of `shape` longer than 1, as they lie in memory.
    """

    tensor: int
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def lengths(self, runs: Sequence[Sequence[int]]) -> list[int]:
        """Of runs of axes, each taken as one."""
        return [math.prod(self.shape[axis] for axis in run) for run in runs]


@dataclass(frozen=True)
class Node:
    """An ONNX node with its attributes at hand."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object]

    @classmethod
    def of(cls, node: onnx.NodeProto) -> Node:
        """Read one."""
        found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        return cls(node.op_type, node.name, tuple(node.input), tuple(node.output), found)

    def whole(self, name: str, default: int = 0) -> int:
        """An attribute that is one whole number."""
        value = self.attributes.get(name, default)
        assert isinstance(value, int)
        return value

    @property
    def activation(self) -> int:
        """What the operation does to its results itself, LiteRT's number."""
        return int(getattr(schema.ActivationFunctionType, str(self.attributes.get(FUSED, "NONE"))))

    def wholes(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An attribute that is several."""
        value = self.attributes.get(name, default)
        assert isinstance(value, Sequence)
        return tuple(int(n) for n in value)


class Lowering:
    """What the rules of `rules_*.py` work on.

    Attributes:
        graph: that is made.
        constants: values known now, by ONNX name.
        quants: how the integers of a name stand for numbers; the others are floats.
    """

    def __init__(
        self, graph: Graph, constants: Mapping[str, AnyArray], quants: Mapping[str, Quant]
    ) -> None:
        self.graph = graph
        self.constants = constants
        self.quants = quants
        self._values: dict[str, Value] = {}
        self._laid: dict[tuple[int, str, tuple[int, ...]], int] = {}

    def known(self, name: str) -> AnyArray:
        """A value that must be known now.

        Raises:
            TranslationError: it is computed.
        """
        if name not in self.constants:
            raise TranslationError(f"{name!r} is no constant, and nothing before gives it.")
        return self.constants[name]

    def value(self, name: str) -> Value:
        """Where a value is; constants are put into the graph when they are first used."""
        if name not in self._values:
            values = self.known(name)
            tensor = self.graph.constant(name, values, self.quants.get(name))
            self._values[name] = Value(tensor, values.shape, in_memory(values.shape))
        return self._values[name]

    def put(self, name: str, value: Value) -> None:
        """Say where a value is."""
        self._values[name] = value

    def laid(self, value: Value, order: Sequence[int], shape: Sequence[int] | None = None) -> int:
        """The value's tensor with its axes in this order.

        Args:
            value: whose.
            order: of its axes, all that are longer than 1 among them.
            shape: of the result, with as many elements; by default that of the axes in `order`.
        """
        wanted = tuple(axis for axis in order if value.shape[axis] > 1)
        target = tuple(value.shape[a] for a in order) if shape is None else tuple(shape)
        tensor = value.tensor
        if wanted != value.order:
            tensor = self._turned(value, wanted)
        return self.reshaped(tensor, target)

    def flat(self, value: Value, shape: Sequence[int] | None = None) -> int:
        """The value's tensor in ONNX's order, by default in its shape."""
        return self.laid(value, range(len(value.shape)), shape)

    def emit(
        self,
        code: str,
        inputs: Sequence[int],
        name: str,
        shape: Sequence[int],
        *,
        dtype: str = "float32",
        quant: Quant | None = None,
        **options: object,
    ) -> int:
        """Add an operator with one output; an integer one if it has a `quant`."""
        made = self.graph.tensor(name, shape, "int8" if quant else dtype, quant)
        self.graph.operator(code, inputs, [made], **options)
        return made

    def reshaped(self, tensor: int, shape: Sequence[int]) -> int:
        """The same memory in another shape."""
        shape = tuple(shape)
        if self.graph.shape(tensor) == shape:
            return tensor
        assert math.prod(shape) == math.prod(self.graph.shape(tensor))
        return self._copied("RESHAPE", tensor, shape, shape, newShape=np.array(shape, np.int32))

    def _turned(self, value: Value, order: tuple[int, ...]) -> int:
        """Another order of the axes; in several steps where LiteRT cannot take so many at once."""
        tensor = value.tensor
        for before, behind in turning_steps(value.order, order):
            source = self.reshaped(
                tensor, [math.prod(value.shape[a] for a in run) for run in before]
            )
            moves = tuple(before.index(run) for run in behind)
            shape = [math.prod(value.shape[a] for a in run) for run in behind]
            tensor = self._copied("TRANSPOSE", source, moves, shape)
        return tensor

    def _copied(
        self, code: str, tensor: int, how: Sequence[int], shape: Sequence[int], **options: object
    ) -> int:
        """Another shape or order of a tensor; the same one is made once."""
        key = (tensor, code, tuple(how))
        if key not in self._laid:
            name = f"{self.graph.name(tensor)}/{code.lower()}"
            argument = self.graph.constant(f"{name}/how", np.array(how, np.int32))
            dtype, quant = self.graph.dtype(tensor), self.graph.quant(tensor)
            made = self.graph.tensor(name, shape, dtype, quant)
            self.graph.operator(code, [tensor, argument], [made], **options)
            self._laid[key] = made
        return self._laid[key]


Rule = Callable[[Lowering, Node], None]


def in_memory(shape: Sequence[int]) -> tuple[int, ...]:
    """The order of a value that lies as ONNX has it."""
    return tuple(axis for axis, n in enumerate(shape) if n > 1)


def common_order(values: Sequence[Value], shape: Sequence[int]) -> list[int]:
    """The order for a result of this shape that moves least: that of the value with most axes."""
    leader = max(values, key=lambda value: len(value.order))
    order = [axis for axis in leader.order if shape[axis] > 1]
    missing = [axis for axis in in_memory(shape) if axis not in order]
    return sorted([*order, *missing]) if missing else order


def no_bias(to: Lowering, node: Node, name: str, channels: int) -> int:
    """Zeros for a layer without a bias, in what its sums are in."""
    how = to.quants.get(node.inputs[1])
    if how is None:
        return to.graph.constant(name, np.zeros(channels, np.float32))
    scale = np.broadcast_to(how.scale * to.quants[node.inputs[0]].scale, channels)
    quant = Quant(scale, np.zeros(channels, np.int64))
    return to.graph.constant(name, np.zeros(channels, np.int32), quant)


def with_last(value: Value, axis: int) -> list[int]:
    """The order of a value that moves least and has this axis last, be it of 1 or not."""
    last = axis_of(axis, value.shape)
    return [*(a for a in value.order if a != last), last]


def axis_of(axis: int, shape: Sequence[int]) -> int:
    """An axis counted from the front."""
    return axis % len(shape)
