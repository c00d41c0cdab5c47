"""A Q/DQ graph read as the integer graph that it stands for.

QuantizeLinear and DequantizeLinear only say what integers mean. Behind an operation, they say it of
its result; so the pairs go away, and the operation works on integers by name. U8 activations with
zero point z become S8 with z - 128: the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from edgesam_engines.byte_moves import MOVES
from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import Node
from edgesam_rt.types import AnyArray

_HALF = 128


@dataclass
class Integers:
    """Nodes without Q/DQ, what is known now, and what integers mean; by name."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)
    quants: dict[str, Quant] = field(default_factory=dict)


def read(nodes: Iterable[Node], constants: dict[str, AnyArray], outputs: set[str]) -> Integers:
    """Read a graph; a DequantizeLinear before an output stays, as nothing else makes floats.

    Graphs without Q/DQ come back as they are.
    """
    found = Integers(constants=dict(constants))
    renamed: dict[str, str] = {}
    for node in nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        node = replace(node, inputs=inputs)
        if node.kind == "QuantizeLinear":
            _name_result(found, node)
        elif node.kind == "DequantizeLinear":
            _read_meaning(found, node)
            if node.outputs[0] in outputs:
                found.nodes += _made_floats(found, node)
            else:
                renamed[node.outputs[0]] = node.inputs[0]
        else:
            found.nodes.append(node)
    _spread(found)
    return found


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


def _name_result(found: Integers, node: Node) -> None:
    """Let the operation in front give its result in integers, by the Q's name."""
    source, (output,) = node.inputs[0], node.outputs
    at = next(i for i, n in enumerate(found.nodes) if source in n.outputs)
    made = found.nodes[at]
    outputs = tuple(output if name == source else name for name in made.outputs)
    found.nodes[at] = replace(made, outputs=outputs)
    found.quants[output] = _meaning(found, node)


def _read_meaning(found: Integers, node: Node) -> None:
    """Note what a DQ says of its input, and make a constant one signed."""
    name = node.inputs[0]
    found.quants[name] = _meaning(found, node)
    if name in found.constants and found.constants[name].dtype == np.uint8:
        found.constants[name] = signed(found.constants[name])


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
    """What constant integers mean, with a scale per entry of the first axis."""
    scale, zero = (v.reshape(-1, *[1] * (values.ndim - 1)) for v in (quant.scale, quant.zero))
    whole = (signed(values) if values.dtype == np.uint8 else values).astype(np.int64) - zero
    return np.asarray(whole.astype(np.float32) * scale, np.float32)


def _spread(found: Integers) -> None:
    """Operations that only move integers do not change what these mean; nor did those before."""
    for node in found.nodes:
        if node.kind in MOVES and node.inputs[0] in found.quants:
            found.quants.setdefault(node.outputs[0], found.quants[node.inputs[0]])
    for node in reversed(found.nodes):
        if node.kind in MOVES and node.outputs[0] in found.quants:
            found.quants.setdefault(node.inputs[0], found.quants[node.outputs[0]])
