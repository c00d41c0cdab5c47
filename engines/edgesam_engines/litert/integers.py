"""A Q/DQ graph read as the graph of integers and floats that it stands for.

QuantizeLinear and DequantizeLinear only say what integers mean. Around an operation that LiteRT has
for integers, they say it of its inputs and its result: so they go away, and the operation works on
integers by name. Around any other, they stay, and it works on floats. U8 activations with zero
point z become S8 with z - 128: the same numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgesam_engines.byte_moves import MOVES
from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import Node
from edgesam_rt.types import AnyArray

REREAD = "Reread"  # a kind of ours: the same integers, which mean something else from here on
_HALF = 128
_MOVING = {
    *MOVES,
    *("Concat", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Resize", "Slice", "Split"),
}
_COUNTING = {"Add", "AveragePool", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "Mul"}


@dataclass
class Integers:
    """Nodes without Q/DQ where integers do, what is known now, what integers mean; by name."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)
    quants: dict[str, Quant] = field(default_factory=dict)


def read(nodes: Iterable[Node], constants: dict[str, AnyArray], outputs: set[str]) -> Integers:
    """Read a graph; a DequantizeLinear before an output stays, as nothing else makes floats.

    Graphs without Q/DQ come back as they are.
    """
    return _Reading(list(nodes), constants, outputs).result()


class _Reading:
    """One graph while it is read.

    Attributes:
        found: the result so far.
    """

    def __init__(
        self, nodes: list[Node], constants: dict[str, AnyArray], outputs: set[str]
    ) -> None:
        self.found = Integers(constants=dict(constants))
        self._nodes, self._outputs = nodes, outputs
        self._readers: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            for name in node.inputs:
                self._readers[name].append(node)
        self._bytes: dict[str, str] = {}  # of what DequantizeLinears give: the integers
        self._waiting: dict[str, Node] = {}  # DequantizeLinears that nobody asked for yet
        self._taken: set[str] = set()  # results of QuantizeLinears that an operation gives itself

    def result(self) -> Integers:
        """Read all nodes."""
        for node in self._nodes:
            if node.kind == "DequantizeLinear":
                self._dequantize(node)
            elif node.kind == "QuantizeLinear":
                self._quantize(node)
            elif (result := self._in_integers(node)) is not None:
                inputs = tuple(self._bytes.get(name, name) for name in node.inputs)
                self._taken.update(result)
                self.found.nodes.append(replace(node, inputs=inputs, outputs=result))
            else:
                self._need_floats(node.inputs)
                self.found.nodes.append(node)
                self._pass_on(node)
        _spread_back(self.found)
        return self.found

    def _pass_on(self, node: Node) -> None:
        """Operations that only move integers do not change what these mean."""
        if node.kind in MOVES and node.inputs[0] in self.found.quants:
            self.found.quants[node.outputs[0]] = self.found.quants[node.inputs[0]]

    def _dequantize(self, node: Node) -> None:
        """Note what integers mean; floats are made of them when somebody asks."""
        source, (output,) = node.inputs[0], node.outputs
        meaning = _meaning(self.found, node)
        known = self.found.quants.setdefault(source, meaning)
        if not known.equals(meaning):
            reread = f"{source}/{output}"
            self.found.nodes.append(Node(REREAD, node.name, (source,), (reread,), {}))
            self.found.quants[reread] = meaning
            source = reread
        self._bytes[output] = source
        self._waiting[output] = replace(node, inputs=(source,))
        values = self.found.constants.get(source)
        if values is not None and values.dtype == np.uint8:
            self.found.constants[source] = signed(values)
        if output in self._outputs:
            self._need_floats([output])

    def _quantize(self, node: Node) -> None:
        """A step of its own, unless the operation in front gives integers already."""
        (output,) = node.outputs
        self.found.quants[output] = _meaning(self.found, node)
        if output not in self._taken:
            self._need_floats(node.inputs[:1])
            self.found.nodes.append(replace(node, inputs=node.inputs[:1]))

    def _need_floats(self, names: Iterable[str]) -> None:
        for name in names:
            node = self._waiting.pop(name, None)
            if node is None:
                continue
            source, quant = node.inputs[0], self.found.quants[node.inputs[0]]
            if source in self.found.constants:
                self.found.constants[name] = _floats(self.found.constants[source], quant)
            else:
                self.found.nodes += _made_floats(self.found, node)

    def _in_integers(self, node: Node) -> tuple[str, ...] | None:
        """The integers that an operation gives, by name; None if it works on floats."""
        if node.kind not in _MOVING | _COUNTING:
            return None
        if not all(self._is_integer_or_known(name) for name in node.inputs):
            return None
        results = [self._quantized(name) for name in node.outputs]
        named = tuple(q.outputs[0] for q in results if q is not None)
        if len(named) != len(results) or node.inputs[0] not in self._bytes:
            return None
        if node.kind == "MatMul" and not self._is_linear(node):
            return None  # XNNPACK multiplies computed matrices in floats only
        if node.kind == "Resize" and node.attributes.get("mode", b"nearest") != b"nearest":
            return None
        if node.kind in _MOVING and not self._mean_the_same(node, results):
            return None
        return named

    def _is_linear(self, node: Node) -> bool:
        weight = self.found.constants.get(self._bytes[node.inputs[1]])
        return weight is not None and weight.ndim == 2

    def _is_integer_or_known(self, name: str) -> bool:
        """Whether an input has integers, or is no number to compute with: a shape, a limit."""
        if name in self._bytes or not name:
            return True
        return name in self.found.constants and self.found.constants[name].dtype != np.float32

    def _quantized(self, name: str) -> Node | None:
        """The QuantizeLinear that alone reads a value."""
        readers = self._readers[name]
        is_read_once = len(readers) == 1 and name not in self._outputs
        return readers[0] if is_read_once and readers[0].kind == "QuantizeLinear" else None

    def _mean_the_same(self, node: Node, results: Sequence[Node | None]) -> bool:
        sources = [self.found.quants[self._bytes[n]] for n in node.inputs if n in self._bytes]
        meanings = [_meaning(self.found, q) for q in results if q is not None]
        return all(sources[0].equals(other) for other in (*sources, *meanings))


def _meaning(found: Integers, node: Node) -> Quant:
    """What a Q or DQ node says, for signed integers."""
    scale = found.constants[node.inputs[1]]
    zero = (
        found.constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros_like(scale, np.int8)
    )
    shifted = zero.astype(np.int64) - (_HALF if zero.dtype == np.uint8 else 0)
    return Quant(
        np.atleast_1d(scale), np.atleast_1d(shifted), node.whole("axis") if scale.ndim else 0
    )


def signed(values: AnyArray) -> AnyArray:
    """Unsigned 8-bit integers moved by 128, so that they are signed."""
    moved: AnyArray = values ^ np.uint8(_HALF)
    return moved.view(np.int8)


def _made_floats(found: Integers, node: Node) -> list[Node]:
    """A DQ before an output; where it has a scale per entry, one DQ for every map joined there."""
    quant = found.quants[node.inputs[0]]
    if len(quant.scale) == 1:
        return [node]
    join = next(n for n in found.nodes if node.inputs[0] in n.outputs)
    if join.kind != "Concat" or join.whole("axis") != quant.axis:
        raise TranslationError(f"{node.name}: a scale per entry, of what is not joined there.")
    found.nodes.remove(join)
    constants = [name for name in join.inputs if name in found.constants]
    lengths = {name: len(found.constants[name]) for name in constants}
    rest = len(quant.scale) - sum(lengths.values())
    made, parts, at = [], [], 0
    for name in join.inputs:
        length = lengths.get(name, rest)
        here = slice(at, at + length)
        part = Quant(quant.scale[here], quant.zero[here], quant.axis)
        parts.append(f"{name}/floats")
        at += length
        if name in lengths:
            found.constants[parts[-1]] = _floats(found.constants[name], part)
            continue
        found.quants[name] = Quant(part.scale[:1], part.zero[:1])
        made.append(Node("DequantizeLinear", f"{node.name}/{name}", (name,), (parts[-1],), {}))
    return [*made, replace(join, inputs=tuple(parts), outputs=node.outputs)]


def _floats(values: AnyArray, quant: Quant) -> AnyArray:
    """What constant integers mean; a scale is of all, or of one entry of the axis."""
    shape = [1] * values.ndim
    if values.ndim:
        shape[quant.axis] = -1
    scale, zero = (v.reshape(shape) for v in (quant.scale, quant.zero))
    whole = (signed(values) if values.dtype == np.uint8 else values).astype(np.int64) - zero
    return np.asarray(whole.astype(np.float32) * scale, np.float32)


def _spread_back(found: Integers) -> None:
    """What is moved before anything says what it means, means the same."""
    for node in reversed(found.nodes):
        if node.kind in MOVES and node.outputs[0] in found.quants:
            found.quants.setdefault(node.inputs[0], found.quants[node.outputs[0]])
