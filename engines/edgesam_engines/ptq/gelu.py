"""GELU as integers can compute it: x * sigmoid(slope * x), with a slope fitted to each layer.

ONNX Runtime has no integer GELU: between integer layers it costs a conversion to float, the
function, and a conversion back, more than a convolution gains. A sigmoid of bytes is a table of 256
entries, and a product of bytes is one pass. The slope comes for free: bytes that are read with
another scale are other numbers.

The form is that of Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2, with 1.702
for all values; a slope that fits the values a layer really has is nearer. docs/quantization.md
says what that costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesam_engines.ptq.graphs import (
    Feeds,
    constants,
    copied,
    float_tensors,
    grouped,
    makers,
    readers,
)
from edgesam_engines.ptq.rounding import dequantized
from edgesam_engines.ptq.statistics import WATCHED_BYTES, watch
from edgesam_rt.types import F32, F64

SLOPES: F64 = np.linspace(1.5, 1.8, 61)  # 1.596 has GELU's curvature at 0, 1.702 its tails
LOOKED_AT = 1 << 14  # values of a tensor, evenly spread, that a slope is fitted to


@dataclass(frozen=True)
class Gelu:
    """One GELU of a graph.

    Attributes:
        source, output: its tensors.
        nodes: names of the nodes that compute it, in order.
    """

    source: str
    output: str
    nodes: tuple[str, ...]


def gelus(model: onnx.ModelProto) -> list[Gelu]:
    """Those of a float graph, as one node or as an exporter spells it out around an Erf."""
    found = []
    for node in model.graph.node:
        if node.op_type == "Gelu":
            found.append(Gelu(node.input[0], node.output[0], (node.name,)))
        elif node.op_type == "Erf" and (spelled := _around(model, node)) is not None:
            found.append(spelled)
    return found


def _around(model: onnx.ModelProto, erf: onnx.NodeProto) -> Gelu | None:
    """X * (erf(x / sqrt 2) + 1) * 0.5, in whichever order its two products come."""
    values, made, read = constants(model), makers(model), readers(model)
    inner = made[erf.input[0]]
    (source,) = [name for name in inner.input if name not in values] or [""]
    chain, products = [inner, erf], 0
    while products < 2 and len(behind := read.get(chain[-1].output[0], [])) == 1:
        chain.append(behind[0])
        products += behind[0].op_type == "Mul"
    if [n.op_type for n in chain[2:]] != ["Add", "Mul", "Mul"]:
        return None
    if not any(source in n.input for n in chain[3:]):
        return None
    return Gelu(source, chain[-1].output[0], tuple(n.name for n in chain))


def as_sigmoids(model: onnx.ModelProto, feeds: Feeds) -> tuple[onnx.ModelProto, dict[str, float]]:
    """A copy of a float graph whose GELUs are products with sigmoids, and their slopes.

    Args:
        model: the float graph, shapes inferred.
        feeds: pictures to fit the slopes to.

    Returns:
        The graph, and the slope of each by its last node's name.

    Raises:
        CalibrationError: there is no picture.
    """
    found = gelus(model)
    slopes = _fitted(model, found, feeds) if found else {}
    out = copied(model)
    for gelu in found:
        _replace(out, gelu, slopes[gelu.output])
    return out, {g.nodes[-1]: slopes[g.output] for g in found}


def _fitted(model: onnx.ModelProto, found: list[Gelu], feeds: Feeds) -> dict[str, float]:
    """By output: the slope with the least squared error."""
    shapes = float_tensors(model)
    errors = {g.output: np.zeros(len(SLOPES)) for g in found}
    for group in grouped({g.output: shapes[g.output] for g in found}, WATCHED_BYTES // 2):
        pairs = {g.output: g.source for g in found if g.output in group}
        for values in watch(model, [*pairs, *pairs.values()], feeds):
            for output, source in pairs.items():
                errors[output] += _squared_errors(values[source], values[output])
    return {name: round(float(SLOPES[e.argmin()]), 4) for name, e in errors.items()}


def _squared_errors(x: F32, wanted: F32) -> F64:
    """Of every slope, summed over some of the values."""
    step = max(1, x.size // LOOKED_AT)
    some = x.ravel()[::step].astype(np.float64)
    exact = wanted.ravel()[::step]
    return np.array([np.square(some / (1 + np.exp(-s * some)) - exact).sum() for s in SLOPES])


def _replace(model: onnx.ModelProto, gelu: Gelu, slope: float) -> None:
    graph = model.graph
    at = next(i for i, n in enumerate(graph.node) if n.name == gelu.nodes[-1])
    name = gelu.nodes[-1]
    scale, scaled, gate = f"{name}/slope", f"{name}/scaled", f"{name}/gate"
    graph.initializer.append(numpy_helper.from_array(np.asarray(slope, np.float32), scale))
    made = [
        helper.make_node("Mul", [gelu.source, scale], [scaled], scaled),
        helper.make_node("Sigmoid", [scaled], [gate], gate),
        helper.make_node("Mul", [gelu.source, gate], [gelu.output], name),
    ]
    shape = float_tensors(model)[gelu.output]
    for tensor in (scaled, gate):
        graph.value_info.append(
            helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape)
        )
    for i, node in enumerate(made):
        graph.node.insert(at + 1 + i, node)
    for node in [n for n in graph.node if n.name in gelu.nodes and n not in made]:
        graph.node.remove(node)


def read_scaled(model: onnx.ModelProto) -> None:
    """Let sigmoids of bytes times a slope read the bytes themselves with another scale, in place.

    Takes a Q/DQ graph. One rounding less, and one pass less.
    """
    graph = model.graph
    values, made = constants(model), makers(model)
    for scaled, reader in list(_scaled(model)):
        of_x, of_slope = (made[name] for name in scaled.input)
        slope = dequantized(of_slope, values, values[of_slope.input[0]])
        name = f"{scaled.name}/read_scale"
        new = np.asarray(values[of_x.input[1]] * slope, np.float32)
        graph.initializer.append(numpy_helper.from_array(new, name))
        graph.node.remove(made[reader.input[0]])
        graph.node.remove(scaled)
        reader.input[:] = [of_x.input[0], name, of_x.input[2]]


def _scaled(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Products with a slope, and the DequantizeLinear behind each that its sigmoid reads."""
    read = readers(model)
    for node in model.graph.node:
        if node.op_type == "Mul" and node.name.endswith("/scaled"):
            quantize = read[node.output[0]][0]
            yield node, read[quantize.output[0]][0]
