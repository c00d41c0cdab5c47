"""An INT8 encoder taken apart: every quantised operator alone, on the same bytes on both machines.

The graph is cut at every QuantizeLinear: whoever read its output reads an input of the graph
instead, and the output itself is an output of the graph. ONNX Runtime still fuses each piece into
the integer operator it would be in the whole graph, so one run says which of them differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
GIVEN = "given:"


class Kind(TypedDict):
    """One kind of operator: how many there are and how many give other bytes."""

    op: str
    count: int
    differing: int
    worst_share: float
    worst_steps: int


def with_all_outputs(source: Path, out: Path) -> None:
    """Write the graph with every quantised tensor as an output too."""
    import onnx

    model = onnx.load(str(source))
    _add_outputs(model)
    onnx.save(model, str(out))


def taken_apart(source: Path, out: Path) -> None:
    """Write the graph cut at every QuantizeLinear."""
    import onnx

    model = onnx.load(str(source))
    _add_outputs(model)
    cut = {node.output[0] for node in _quantizers(model)}
    types = {t.name: t.data_type for t in model.graph.initializer}
    for node in _quantizers(model):
        kind = types[node.input[2]]
        given = onnx.helper.make_tensor_value_info(GIVEN + node.output[0], kind, None)
        model.graph.input.append(given)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name in cut:
                node.input[i] = GIVEN + name
    onnx.save(model, str(out))


def inputs_of(source: Path) -> list[str]:
    """Names of a graph's inputs."""
    import onnx

    return [value.name for value in onnx.load(str(source)).graph.input]


def compare(source: Path, here: Mapping[str, Array], there: Mapping[str, Array]) -> list[Kind]:
    """Equality of every quantised tensor, by the operator that made it; what differs first.

    Args:
        source: the encoder.
        here: outputs of the graph that was taken apart, by name.
        there: the same on the other machine.
    """
    found: dict[str, Kind] = {}
    for name, op in _makers(source).items():
        row = found.setdefault(
            op, {"op": op, "count": 0, "differing": 0, "worst_share": 0.0, "worst_steps": 0}
        )
        row["count"] += 1
        steps = np.abs(here[name].astype(np.int32) - there[name].astype(np.int32))
        row["differing"] += bool(steps.any())
        row["worst_share"] = max(row["worst_share"], float((steps > 0).mean()))
        row["worst_steps"] = max(row["worst_steps"], int(steps.max(initial=0)))
    return sorted(found.values(), key=lambda row: (-row["differing"], row["op"]))


def _makers(source: Path) -> dict[str, str]:
    """Of every QuantizeLinear's output, the operator whose result it is."""
    import onnx

    graph = onnx.load(str(source)).graph
    ops = {name: node.op_type for node in graph.node for name in node.output}
    model = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    return {node.output[0]: ops.get(node.input[0], "input") for node in model}


def _quantizers(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == "QuantizeLinear"]


def _add_outputs(model: Any) -> None:
    import onnx

    have = {output.name for output in model.graph.output}
    for node in _quantizers(model):
        if node.output[0] not in have:
            value = onnx.helper.make_empty_tensor_value_info(node.output[0])
            model.graph.output.append(value)
