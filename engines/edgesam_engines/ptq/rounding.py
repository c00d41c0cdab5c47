"""What a quantized graph does to values, as operations that a float graph can have added.

Taken from the finished Q/DQ graph, so that it is that graph's rounding and not a copy of its rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesam_engines.ptq.graphs import Layer, constants, copied, layers, makers
from edgesam_rt.types import F32, AnyArray


@dataclass(frozen=True)
class Rounding:
    """Of a quantized graph.

    Attributes:
        grids: scale and zero point of each quantized tensor, under its name in the float graph.
        weights: by layer name: each constant input after rounding, by its place.
    """

    grids: dict[str, tuple[AnyArray, AnyArray]]
    weights: dict[str, dict[int, F32]]

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        content = hashlib.sha256()
        for name, grid in sorted(self.grids.items()):
            content.update(name.encode() + b"".join(part.tobytes() for part in grid))
        for name, inputs in sorted(self.weights.items()):
            content.update(name.encode())
            content.update(b"".join(inputs[place].tobytes() for place in sorted(inputs)))
        return content.hexdigest()


def rounding_of(quantized: onnx.ModelProto) -> Rounding:
    """Read scales and rounded weights out of a Q/DQ graph."""
    values, made = constants(quantized), makers(quantized)
    grids = {
        n.input[0]: (values[n.input[1]], values[n.input[2]])
        for n in quantized.graph.node
        if n.op_type == "QuantizeLinear"
    }
    weights: dict[str, dict[int, F32]] = {}
    for node in quantized.graph.node:
        for place, name in enumerate(node.input):
            maker = made.get(name)
            if maker is not None and maker.op_type == "DequantizeLinear":
                stored = values.get(maker.input[0])
                if stored is not None:
                    weights.setdefault(node.name, {})[place] = dequantized(maker, values, stored)
    return Rounding(grids, weights)


def dequantized(node: onnx.NodeProto, values: dict[str, AnyArray], stored: AnyArray) -> F32:
    """What a DequantizeLinear makes of constant integers."""
    scale = values[node.input[1]].astype(np.float32)
    zero = values[node.input[2]].astype(np.int64) if len(node.input) > 2 else np.int64(0)
    if scale.size > 1:  # of one channel the axis is not said
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * stored.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), np.reshape(zero, shape)
    return np.asarray((stored.astype(np.int64) - zero) * scale, np.float32)


def layer_graph(model: onnx.ModelProto, layer: Layer, rounding: Rounding) -> onnx.ModelProto:
    """One layer alone, rounded: inputs `x`, `scale` and `zero_point`, output `y`.

    The grid of its source is an input, so that one session serves all candidates. `y` is what the
    layer makes before its activation.
    """
    node = next(n for n in model.graph.node if n.name == layer.name)
    known = constants(model)
    rounded = rounding.weights.get(layer.name, {})
    names = [node.input[0], *(n for n in node.input[1:] if n)]
    values = [
        numpy_helper.from_array(rounded.get(place, known[name]), name)
        for place, name in enumerate(names)
        if place
    ]
    copy = onnx.NodeProto.FromString(node.SerializeToString())
    copy.input[0], copy.output[0] = "rounded", "y"
    kinds = onnx.TensorProto
    _, zero = rounding.grids.get(layer.source, (None, np.zeros((), np.uint8)))
    steps = helper.np_dtype_to_tensor_dtype(zero.dtype)
    graph = helper.make_graph(
        [*_grid_nodes("x", "rounded", "scale", "zero_point"), copy],
        "layer",
        [
            helper.make_tensor_value_info("x", kinds.FLOAT, None),
            helper.make_tensor_value_info("scale", kinds.FLOAT, []),
            helper.make_tensor_value_info("zero_point", steps, []),
        ],
        [helper.make_tensor_value_info("y", kinds.FLOAT, None)],
        values,
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def partly_rounded(
    model: onnx.ModelProto, rounding: Rounding, nodes: Collection[str]
) -> onnx.ModelProto:
    """The float graph with some nodes (and their activations) rounded as the quantized graph does.

    Their weights, what they read and what they make is rounded; everything else stays float.
    """
    out = copied(model)
    graph = out.graph
    by_output = {layer.output: layer for layer in layers(model)}
    new: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name not in nodes:
            new.append(node)
            continue
        for place, value in rounding.weights.get(node.name, {}).items():
            name = f"{node.name}/rounded_{place}"
            graph.initializer.append(numpy_helper.from_array(value, name))
            node.input[place] = name
        for place, name in enumerate(node.input):
            if name in rounding.grids:
                node.input[place] = f"{node.name}/in_{place}"
                new += _constant_grid(graph, rounding, name, node.input[place])
        new.append(node)
    del graph.node[:]
    graph.node.extend(new)
    made = [name for n in model.graph.node if n.name in nodes for name in n.output]
    ends = [_end(by_output.get(name), name) for name in made]
    _round_outputs(out, rounding, [name for name in ends if name in rounding.grids])
    return out


def _end(layer: Layer | None, name: str) -> str:
    """What comes out of a node and the activation behind it."""
    return layer.activation.output[0] if layer and layer.activation is not None else name


def _round_outputs(model: onnx.ModelProto, rounding: Rounding, names: Collection[str]) -> None:
    """Round what some nodes make, for all that read it, in place."""
    graph = model.graph
    new = []
    for node in graph.node:
        new.append(node)
        for place, name in enumerate(node.output):
            if name in names:
                node.output[place] = f"{name}/exact"
                new += _constant_grid(graph, rounding, name, name, source=f"{name}/exact")
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in new]
    del graph.node[:]
    graph.node.extend(nodes)


def _constant_grid(
    graph: onnx.GraphProto, rounding: Rounding, name: str, made: str, source: str = ""
) -> Iterator[onnx.NodeProto]:
    scale, zero = rounding.grids[name]
    graph.initializer.append(numpy_helper.from_array(scale, f"{made}/scale"))
    graph.initializer.append(numpy_helper.from_array(zero, f"{made}/zero_point"))
    return _grid_nodes(source or name, made, f"{made}/scale", f"{made}/zero_point")


def _grid_nodes(source: str, made: str, scale: str, zero: str) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("QuantizeLinear", [source, scale, zero], [f"{made}/levels"])
    yield helper.make_node("DequantizeLinear", [f"{made}/levels", scale, zero], [made])
