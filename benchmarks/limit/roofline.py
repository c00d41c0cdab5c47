"""Time against what is possible: per node, per kind of layer, per engine.

Possible is max(multiply-adds / peak, bytes / bandwidth) of each node, added up. The share of the
possible is that over the measured time: 1 would be a machine that never waits. Sums over nodes are
right for one run of a sequential graph; what several nodes could share is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.limit.nodes import Node
from benchmarks.limit.peaks import rate_at
from benchmarks.limit.work import Layer

LAYOUT = (
    *("Concat", "QLinearConcat", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Split", "Slice"),
    *("Gather", "ReorderInput", "ReorderOutput", "Resize", "Upsample", "Identity", "Pad"),
)
# Kinds of nodes that do not multiply, by operator; everything else is "other".
BY_OP = {
    **dict.fromkeys(LAYOUT, "layout"),
    **dict.fromkeys(("Add", "QLinearAdd"), "add"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "Cast"), "quantize"),
}
WORST = 12  # nodes listed one by one


def _is_depthwise(layer: Layer) -> bool:
    return layer.group > 1 and layer.weight_shape[1] == 1


def _is_point(layer: Layer) -> bool:
    return all(k == 1 for k in layer.weight_shape[2:])


# The first that is true names the kind.
LAYER_KINDS: tuple[tuple[str, Callable[[Layer], bool]], ...] = (
    ("stem", lambda layer: layer.first),
    ("depthwise", _is_depthwise),
    ("expand", lambda layer: _is_point(layer) and "expand" in layer.name),
    ("project", lambda layer: _is_point(layer) and "project" in layer.name),
    ("other 1x1", _is_point),
    ("other convolution", lambda layer: True),
)


@dataclass(frozen=True)
class Machine:
    """What is possible, with some number of threads.

    Attributes:
        macs_per_ms: by precision, "int8" and "fp32".
        curve: see `peaks.bandwidth`.
    """

    macs_per_ms: Mapping[str, float]
    curve: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Measured:
    """One node against what is possible; times in ms."""

    node: Node
    kind: str
    macs: int
    moved: int
    compute_ms: float
    memory_ms: float

    @property
    def possible_ms(self) -> float:
        """The longer of the two."""
        return max(self.compute_ms, self.memory_ms)

    @property
    def lost_ms(self) -> float:
        """What could be won at most; below 0 where the probe's copies are slower than the node."""
        return self.node.ms - self.possible_ms


def measure(node: Node, layers: Mapping[str, Layer], machine: Machine) -> Measured:
    """Hold one node against the machine."""
    layer = layers.get(node.name) or layers.get(node.origin)
    moved = node.moved + (layer.weight_bytes if layer else 0)
    macs = layer.macs if layer else 0
    peak = machine.macs_per_ms["int8" if node.is_integer else "fp32"]
    memory_ms = moved / (rate_at(machine.curve, moved) * 1e6)
    return Measured(node, kind_of(node, layer), macs, moved, macs / peak, memory_ms)


def kind_of(node: Node, layer: Layer | None) -> str:
    """What kind of layer a node is."""
    if layer is None:
        return BY_OP.get(node.op, "other")
    return next(name for name, fits in LAYER_KINDS if fits(layer))


def by_kind(found: Sequence[Measured]) -> list[dict[str, object]]:
    """Sums per kind, the one that loses most first."""
    kinds: dict[str, list[Measured]] = {}
    for one in found:
        kinds.setdefault(one.kind, []).append(one)
    rows = [{"kind": kind, "nodes": len(ones), **sums(ones)} for kind, ones in kinds.items()]
    return sorted(rows, key=lambda row: -float(str(row["lost_ms"])))


def sums(found: Sequence[Measured]) -> dict[str, float]:
    """Work, time and share of some nodes together."""
    ms, possible = sum(m.node.ms for m in found), sum(m.possible_ms for m in found)
    return {
        "mmacs": round(sum(m.macs for m in found) / 1e6, 2),
        "mbytes": round(sum(m.moved for m in found) / 1e6, 2),
        "ms": round(ms, 3),
        "compute_ms": round(sum(m.compute_ms for m in found), 3),
        "memory_ms": round(sum(m.memory_ms for m in found), 3),
        "possible_ms": round(possible, 3),
        "lost_ms": round(ms - possible, 3),
        "share": round(possible / ms, 3) if ms else 0.0,
    }


def worst(found: Sequence[Measured]) -> list[dict[str, object]]:
    """The nodes that lose most."""
    chosen = sorted(found, key=lambda m: -m.lost_ms)[:WORST]
    return [{"name": m.node.origin, "op": m.node.op, "kind": m.kind, **sums([m])} for m in chosen]
