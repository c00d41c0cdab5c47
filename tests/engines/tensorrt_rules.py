"""What TensorRT's ONNX parser asserts while it imports a graph, without TensorRT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgesam_rt.types import AnyArray

# Names of operators.md of onnx-tensorrt, release/8.6-GA, that say "Y".
SUPPORTED = frozenset(
    json.loads(Path(__file__).with_name("tensorrt_operators.json").read_text(encoding="utf-8"))
)
# It knows these, and users of SAM's decoder met them as errors or as slow paths all the same.
UNWANTED = frozenset({"Expand", "If", "Loop", "NonZero", "OneHot", "Range", "Resize", "Tile"})


def constants(model: onnx.ModelProto) -> dict[str, AnyArray]:
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def check_operators(model: onnx.ModelProto) -> None:
    """The parser knows all operators; integers are not raised to powers; slices have fixed ends."""
    onnx.checker.check_model(model)
    made = {name for n in model.graph.node if n.op_type == "Constant" for name in n.output}
    known = {*constants(model), *made}
    for node in model.graph.node:
        assert not node.domain, node.op_type
        assert node.op_type in SUPPORTED, node.op_type
        if node.op_type == "Pow":
            assert "INT" not in kind_of(model, node), node.name
        if node.op_type == "Slice":
            assert known >= {*node.input[1:]}, node.name


def check_decoder(model: onnx.ModelProto) -> None:
    """As `check_operators`, and nothing that decoders were refused for."""
    check_operators(model)
    found = {n.op_type for n in model.graph.node} & UNWANTED
    assert not found, found


def check_quantized(model: onnx.ModelProto) -> None:
    """What onnx-tensorrt 8.5 to 10.1 asserts of explicit Q/DQ."""
    values = constants(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    pixels = {
        i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.UINT8
    }
    assert {i.data_type for i in model.graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT8,
        TensorProto.INT64,
    }
    for node in model.graph.node:
        assert not pixels.intersection(node.input) or node.op_type == "Cast", node.name
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert len(node.input) == 3, node.name
            scale, zero = values[node.input[1]], values[node.input[2]]
            assert zero.dtype == np.int8, node.name
            assert not zero.any(), node.name
            assert scale.size == zero.size, node.name
            assert (scale > 0).all(), node.name
        if node.op_type == "DequantizeLinear":
            assert makers[node.input[0]].op_type == "QuantizeLinear", node.name
        if node.op_type == "Conv" and node.input[1] not in values:
            assert makers[node.input[1]].op_type == "DequantizeLinear", node.name
            assert values[node.input[2]].dtype == np.float32, node.name


def kind_of(model: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """The type of what a node reads first."""
    known = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*known.input, *known.value_info]}
    return TensorProto.DataType.Name(types.get(node.input[0], TensorProto.FLOAT))
