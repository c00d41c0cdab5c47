"""Scales of additions as odd fractions of their sum's: the same bytes on every processor.

An integer addition rounds a * A + b * B + z, with A and B the ratios of its inputs' scales to its
output's. Where that lies on a half, or as near to one as float can tell, kernels for Arm and
x86-64 go different ways. With A = i / D and B = k / D and one odd D no sum lies nearer to a half
than 1 / (2 D). docs/decisions/0014 has the proof.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx
from onnx import numpy_helper

DENOMINATOR = 4095
_MOVING = {"Concat", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}  # change no value
_SAME = 1e-6  # relative change of a scale that is no change
log = logging.getLogger(__name__)


def in_odd_fractions(model: onnx.ModelProto) -> None:
    """Move the scales of integer additions' inputs, in place.

    From the last addition to the first, because an input is often another addition's output. An
    addition is left as it is where an input's scale is already settled otherwise, and where it is
    not between DequantizeLinear and QuantizeLinear. Biases keep their integers.
    """
    graph = model.graph
    values = {t.name: t for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    alike = _alike(graph, makers, readers)
    settled: set[str] = set()
    for add in reversed([node for node in graph.node if node.op_type == "Add"]):
        inputs = [makers.get(name) for name in add.input]
        reader = readers.get(add.output[0])
        if reader is None or reader.op_type != "QuantizeLinear":
            continue
        if any(node is None or node.op_type != "DequantizeLinear" for node in inputs):
            continue
        of_sum = float(numpy_helper.to_array(values[reader.input[1]]))
        moved: dict[str, float] = {}
        for name in (node.input[1] for node in inputs if node is not None):
            old = float(numpy_helper.to_array(values[name]))
            by = max(1, round(old / of_sum * DENOMINATOR)) / DENOMINATOR * of_sum / old
            moved |= dict.fromkeys(alike.get(name, {name}), by)
        if any(name in settled and abs(by - 1) > _SAME for name, by in moved.items()):
            log.warning("%s: its inputs' scales are settled by others; left as it is", add.name)
            continue
        for name, by in moved.items():
            scale = numpy_helper.to_array(values[name]).astype(np.float64) * by
            values[name].CopyFrom(numpy_helper.from_array(scale.astype(np.float32), name))
        settled |= {*moved, reader.input[1]}


def _alike(
    graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], readers: dict[str, onnx.NodeProto]
) -> dict[str, set[str]]:
    """Scales that stay one value, because what lies between their tensors only moves bytes."""
    values = {t.name: t for t in graph.initializer}
    groups: dict[str, set[str]] = {}
    for node in graph.node:
        if node.op_type not in _MOVING:
            continue
        ends = [makers.get(name) for name in node.input] + [readers.get(node.output[0])]
        names = {
            end.input[1]
            for end in ends
            if end is not None and end.op_type in {"DequantizeLinear", "QuantizeLinear"}
        }
        if len({float(numpy_helper.to_array(values[name])) for name in names}) == 1:
            joined = set().union(names, *(groups.get(name, set()) for name in names))
            groups |= dict.fromkeys(joined, joined)
    return groups
