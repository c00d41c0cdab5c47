"""Operations by where they come from: a graph's blocks, to look at before its single operations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx

from edgesam_engines.ptq.graphs import operations
from edgesam_engines.ptq.rounding import Rounding

BLOCKS = 48  # at most
_TOP = "outside any block"


@dataclass(frozen=True)
class Unit:
    """Operations that are rounded, or left float, together.

    Attributes:
        name: of the node, or what all their names begin with.
        kind: of the node, or how many they are.
        nodes: their names.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]


def by_operation(
    model: onnx.ModelProto, rounding: Rounding, float_nodes: Collection[str] = ()
) -> list[Unit]:
    """Each operation that a quantized form of the graph rounds, in the graph's order.

    Args:
        model: the float graph.
        rounding: of the quantized form.
        float_nodes: names of those that stay float in it; they are left out.
    """
    return [
        Unit(node.name, node.op_type, (node.name,))
        for node in operations(model)
        if node.name not in float_nodes
        and (node.name in rounding.weights or any(name in rounding.grids for name in node.input))
    ]


def by_block(units: Sequence[Unit], most: int = BLOCKS) -> list[Unit]:
    """Operations put together by the modules that they were exported from.

    Exporters name a node by its module's path ("/encoder/features.3/mixer/Conv"). The longest
    beginnings are taken of which there are not too many.
    """
    depth, parts = 1, _divided(units, 1)
    while len(finer := _divided(units, depth + 1)) <= most and finer.keys() != parts.keys():
        depth, parts = depth + 1, finer
    return [
        Unit(name or _TOP, f"{len(inside)} operations", tuple(n for u in inside for n in u.nodes))
        for name, inside in parts.items()
    ]


def _divided(units: Sequence[Unit], depth: int) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for unit in units:
        path = unit.name.strip("/").split("/")[:-1]
        found.setdefault("/".join(path[:depth]), []).append(unit)
    return found
