"""What an engine has to do: multiply-adds and weights of every layer, from its ONNX file.

The file is the engine as it ships, before ONNX Runtime fuses and rearranges it: the work that the
model asks for, not what one version of one library makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, shape_inference

Shape = tuple[int, ...]
ACTIVATIONS = ("Clip", "Relu")  # what ONNX Runtime fuses into the layer before
WRAPPERS = ("QuantizeLinear", "DequantizeLinear")
MACS = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True)
class Layer:
    """One layer that multiplies.

    Attributes:
        name: of its node.
        macs: multiply-adds of one run.
        weight_bytes: as stored: one per int8, four per float.
        weight_shape: output channels, input channels per group, kernel; or as the matrix is.
        group: of a convolution, else 1.
        first: whether no other layer comes before it.
    """

    name: str
    macs: int
    weight_bytes: int
    weight_shape: Shape
    group: int
    first: bool


def layers(path: Path) -> dict[str, Layer]:
    """All layers of an engine with fixed shapes, by every name under which they may be executed.

    A layer is found by its node's name, by its output's, and by that of the activation behind it:
    ONNX Runtime names what it fuses now after the one, now after the other.
    """
    graph = shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True).graph
    shapes, makers = _shapes(graph), {out: node for node in graph.node for out in node.output}
    bits = {t.name: t.data_type for t in graph.initializer}
    users: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    out: dict[str, Layer] = {}
    for node in graph.node:
        if node.op_type not in MACS:
            continue
        weight = _stored(node.input[1], makers)
        layer = _layer(node, shapes, bits.get(weight, TensorProto.FLOAT), first=not out)
        for name in (node.name, *_names(node.output[0], users)):
            out[name] = layer
    return out


def _layer(node: NodeProto, shapes: Mapping[str, Shape], kind: int, *, first: bool) -> Layer:
    weight, made = shapes[node.input[1]], shapes[node.output[0]]
    # Every output value takes one multiply-add per weight that leads to its channel (Conv: the
    # first axis is the output's), or per row of the matrix.
    per_value = math.prod(weight[1:]) if node.op_type == "Conv" else weight[-2]
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    size = 1 if kind in (TensorProto.INT8, TensorProto.UINT8) else 4
    return Layer(
        node.name, math.prod(made) * per_value, math.prod(weight) * size, weight, group, first
    )


def _names(tensor: str, users: Mapping[str, list[NodeProto]]) -> list[str]:
    """The tensor, and what is the same value behind activations and quantization."""
    found = [tensor]
    for node in users.get(tensor, []):
        if node.op_type in (*ACTIVATIONS, *WRAPPERS):
            found += _names(node.output[0], users)
    return found


def _stored(tensor: str, makers: Mapping[str, NodeProto]) -> str:
    """The initializer that a weight comes from."""
    node = makers.get(tensor)
    return _stored(node.input[0], makers) if node is not None else tensor


def _shapes(graph: GraphProto) -> dict[str, Shape]:
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    found |= {t.name: tuple(t.dims) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    found[node.output[0]] = tuple(attribute.t.dims)
    return found
