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

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesam_engines.ptq.graphs import (
    Feeds,
    constants,
    copied,
    float_tensors,
    makers,
    readers,
)
from edgesam_engines.ptq.rounding import dequantized
from edgesam_engines.ptq.statistics import watch
from edgesam_rt.types import F32, F64

SLOPES: F64 = np.linspace(1.5, 1.8, 61)  # 1.596 has GELU's curvature at 0, 1.702 its tails
CORES = {"Erf", "Tanh"}  # what an exact GELU and its usual approximation are built around
_SIMPLE = {"Add", "Div", "Mul", "Pow"}
_FAR = 100.0  # so far below 0, either form is 0
_MOST = 6  # such nodes in front of a core
LOOKED_AT = 1 << 14  # values of a tensor and picture, evenly spread, that a slope is fitted to
PICTURES = 2
Makers = Mapping[str, onnx.NodeProto]
Readers = Mapping[str, list[onnx.NodeProto]]


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
    """Those of a float graph, as one node or as an exporter spells them out."""
    made, read = makers(model), readers(model)
    known = {i.name for i in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type == "Gelu":
            found.append(Gelu(node.input[0], node.output[0], (node.name,)))
        elif node.op_type in CORES and (spelled := _around(node, made, read, known)) is not None:
            found.append(spelled)
    return found


def _around(core: onnx.NodeProto, made: Makers, read: Readers, known: set[str]) -> Gelu | None:
    """0.5 * x * (1 + core(something of x)), in whichever order its products come."""
    behind = list(itertools.islice(_chain(core, read), 3))
    if [n.op_type for n in behind] != ["Add", "Mul", "Mul"]:
        return None
    own = {name for n in (core, *behind) for name in n.output}
    sources = {name for n in behind for name in n.input} - own - known
    if len(sources) != 1:
        return None
    (source,) = sources
    before = _inside(core, source, made, known)
    if before is None:
        return None
    nodes = (*before, core, *behind)
    return Gelu(source, behind[-1].output[0], tuple(n.name for n in nodes))


def _chain(node: onnx.NodeProto, read: Readers) -> Iterator[onnx.NodeProto]:
    """The nodes behind one, each the only reader of the last."""
    while len(behind := read.get(node.output[0], [])) == 1:
        (node,) = behind
        yield node


def _inside(
    core: onnx.NodeProto, source: str, made: Makers, known: set[str]
) -> list[onnx.NodeProto] | None:
    """The nodes between a tensor and the core; None if that depends on something else."""
    found: dict[str, onnx.NodeProto] = {}
    waiting = list(core.input)
    while waiting:
        name = waiting.pop()
        if name == source or name in known or name in found:
            continue
        maker = made.get(name)
        if maker is None or maker.op_type not in _SIMPLE or len(found) == _MOST:
            return None
        found[name] = maker
        waiting += maker.input
    return [*found.values()]


def as_sigmoids(
    model: onnx.ModelProto, feeds: Feeds, float_nodes: Collection[str] = ()
) -> tuple[onnx.ModelProto, dict[str, float]]:
    """A copy of a float graph whose GELUs are products with sigmoids, and their slopes.

    Args:
        model: the float graph, shapes inferred.
        feeds: pictures to fit the slopes to.
        float_nodes: names of nodes that stay float; a GELU among them stays as it is.

    Returns:
        The graph, and the slope of each by its last node's name.

    Raises:
        CalibrationError: there is no picture.
    """
    found = [g for g in gelus(model) if g.nodes[-1] not in float_nodes]
    slopes = _fitted(model, found, feeds.few(PICTURES)) if found else {}
    out = copied(model)
    for gelu in found:
        _replace(out, gelu, slopes[gelu.output])
    return out, {g.nodes[-1]: slopes[g.output] for g in found}


def _fitted(model: onnx.ModelProto, found: list[Gelu], feeds: Feeds) -> dict[str, float]:
    """By output: the slope with the least squared error."""
    pairs = {g.output: g.source for g in found}
    thinned = _thinned(model, [*pairs, *pairs.values()])
    errors = {output: np.zeros(len(SLOPES)) for output in pairs}
    for values in watch(thinned, [f"{n}/some" for n in {*pairs, *pairs.values()}], feeds):
        for output, source in pairs.items():
            errors[output] += _squared_errors(values[f"{source}/some"], values[f"{output}/some"])
    return {name: round(float(SLOPES[e.argmin()]), 4) for name, e in errors.items()}


def _thinned(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A graph that also makes NAME/some: every so many-th value of each tensor, picked inside."""
    shapes, out = float_tensors(model), copied(model)
    for name in {*names}:
        step = max(1, int(np.prod(shapes[name], dtype=np.int64)) // LOOKED_AT)
        bounds = {"flat": [-1], "zero": [0], "to": [np.iinfo(np.int64).max], "step": [step]}
        for what, value in bounds.items():
            constant = numpy_helper.from_array(np.array(value, np.int64), f"{name}/{what}")
            out.graph.initializer.append(constant)
        ends = [f"{name}/{what}" for what in ("zero", "to", "zero", "step")]
        out.graph.node.extend(
            [
                helper.make_node("Reshape", [name, f"{name}/flat"], [f"{name}/line"]),
                helper.make_node("Slice", [f"{name}/line", *ends], [f"{name}/some"]),
            ]
        )
    return out


def _squared_errors(x: F32, wanted: F32) -> F64:
    """Of every slope, summed over the values."""
    x = x.astype(np.float64)
    below = np.minimum(-x, _FAR)
    return np.array([np.square(x / (1 + np.exp(s * below)) - wanted).sum() for s in SLOPES])


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
            (quantize,) = read[node.output[0]]
            if quantize.op_type == "QuantizeLinear":  # else it stays float
                yield node, read[quantize.output[0]][0]
