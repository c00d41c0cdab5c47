"""What ONNX spells out in several operations, and LiteRT has as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgesam_engines.litert.lowering import FUSED, Node
from edgesam_engines.ptq.gelu import Gelu
from edgesam_rt.types import AnyArray


def with_gelus(nodes: Sequence[Node], found: Sequence[Gelu]) -> list[Node]:
    """Put one node in the place of those that spell a GELU out, or its approximation."""
    by_output = {gelu.output: gelu for gelu in found if len(gelu.nodes) > 1}
    spelled = {name for gelu in by_output.values() for name in gelu.nodes}
    approximated = {node.name for node in nodes if node.kind == "Tanh"}
    made = []
    for node in nodes:
        gelu = by_output.get(node.outputs[0])
        if gelu is not None:
            how = {"approximate": b"none" if approximated.isdisjoint(gelu.nodes) else b"tanh"}
            made.append(Node("Gelu", node.name, (gelu.source,), node.outputs, how))
        elif node.name not in spelled:
            made.append(node)
    return made


def with_activations(
    nodes: Sequence[Node], constants: Mapping[str, AnyArray], outputs: Sequence[str]
) -> list[Node]:
    """Put a Relu or a Clip to [0, 6] into the operation in front that only it reads."""
    read = Counter(name for node in nodes for name in node.inputs)
    read.update(outputs)
    made: dict[str, int] = {}
    kept: list[Node] = []
    for node in nodes:
        at = made.get(node.inputs[0]) if node.inputs else None
        fused = _activation(node, constants)
        if at is not None and fused and read[node.inputs[0]] == 1:
            with_it = {**kept[at].attributes, FUSED: fused}
            kept[at] = replace(kept[at], outputs=node.outputs, attributes=with_it)
            continue
        kept.append(node)
        if node.kind in ("Add", "Conv", "Gemm"):
            made[node.outputs[0]] = len(kept) - 1
    return kept


def _activation(node: Node, constants: Mapping[str, AnyArray]) -> str:
    """What LiteRT calls an activation that an operation can apply itself; else empty."""
    if node.kind == "Relu":
        return "RELU"
    limits = [constants.get(name) for name in node.inputs[1:]]
    if node.kind == "Clip" and len(limits) == 2:
        low, high = limits
        if low is not None and high is not None and (float(low), float(high)) == (0, 6):
            return "RELU6"
    return ""
