"""Float ONNX graphs to explicit Q/DQ ones: uint8 activations, int8 weights per channel.

This one setting is fast on x86 (VNNI) and on Arm (dot product), and gives the same bits on both.
TensorRT wants int8 activations around zero instead (`symmetric`).
Every op between the convolutions is quantized too: a float op in the middle costs a round trip.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from edgesam_engines.additions import in_odd_fractions
from edgesam_engines.ptq.attention import attention_nodes
from edgesam_engines.ptq.gelu import gelus, read_scaled
from edgesam_engines.ptq.graphs import makers, readers
from edgesam_engines.ptq.ranges import Ranges

NEVER = {"LayerNormalization"}  # no runtime has it for bytes
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_RESHAPING = {"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def to_qdq(
    model: onnx.ModelProto,
    ranges: Ranges,
    keep_float: Collection[str] = (),
    float_nodes: Collection[str] = (),
    *,
    symmetric: bool = False,
) -> onnx.ModelProto:
    """Quantize all that can be quantized.

    Args:
        model: a float graph, simplified.
        ranges: of its activations, as `calibrate.activation_ranges` gives them.
        keep_float: tensors whose last operation stays in float.
        float_nodes: names of nodes that stay in float.
        symmetric: int8 activations with zero point 0, their ranges made even around it.
    """
    excluded = [name for tensor in keep_float for name in _last_operations(model, tensor)]
    excluded += [*float_nodes, *attention_nodes(model)]
    excluded += [name for gelu in gelus(model) for name in gelu.nodes]
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    quantizer = QDQQuantizer(
        onnx.ModelProto.FromString(model.SerializeToString()),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=excluded,
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry} - NEVER),
        extra_options={"ActivationSymmetric": symmetric},
    )
    quantizer.quantize_model()
    quantized: onnx.ModelProto = quantizer.model.model
    in_odd_fractions(quantized)
    read_scaled(quantized)
    _pass_floats(quantized, {*excluded, *(n.name for n in model.graph.node if n.op_type in NEVER)})
    _shield(quantized, float_nodes)
    return quantized


def _pass_floats(model: onnx.ModelProto, float_nodes: Collection[str]) -> None:
    """Let float operations read what float operations make as it is, not rounded; in place.

    The quantizer gives every reader of a tensor the rounded one as soon as one reader is quantized.
    """
    graph, made, read = model.graph, makers(model), readers(model)
    for quantize in [n for n in graph.node if n.op_type == "QuantizeLinear"]:
        maker = made.get(quantize.input[0])
        if maker is None or maker.name not in float_nodes:
            continue
        for dequantize in read.get(quantize.output[0], []):
            for node in read.get(dequantize.output[0], []):
                if node.name in float_nodes:
                    rounded = dequantize.output[0]
                    node.input[:] = [quantize.input[0] if n == rounded else n for n in node.input]
    _drop_unread(model)


def _drop_unread(model: onnx.ModelProto) -> None:
    """Take away pairs and constants that nothing reads any more, in place."""
    for kind in ("DequantizeLinear", "QuantizeLinear"):
        read = {*readers(model), *(o.name for o in model.graph.output)}
        for node in [n for n in model.graph.node if n.op_type == kind]:
            if read.isdisjoint(node.output):
                model.graph.node.remove(node)
    read = {*readers(model), *(o.name for o in model.graph.output)}
    for constant in [i for i in model.graph.initializer if i.name not in read]:
        model.graph.initializer.remove(constant)


def _shield(model: onnx.ModelProto, float_nodes: Collection[str]) -> None:
    """Put a Clip that cuts nothing in front of float layers that read a DequantizeLinear, in place.

    ONNX Runtime (its WeightBiasQuantization, from 1.21) takes a float layer between integer tensors
    for an oversight, and quantizes its weights with one scale for all channels: far worse than
    integers done well. It looks for a DequantizeLinear right in front.
    """
    graph = model.graph
    made = {n.output[0]: n for n in graph.node if n.op_type == "DequantizeLinear"}
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for at, node in reversed(list(enumerate(graph.node))):
        if node.name not in float_nodes or node.input[0] not in made:
            continue
        if node.op_type not in _WEIGHTED:
            continue
        scale, zero = (values[n] for n in made[node.input[0]].input[1:])
        steps = np.iinfo(zero.dtype)
        ends = (np.array([steps.min, steps.max], np.float32) - np.float32(zero)) * np.float32(scale)
        limits = [f"{node.name}/shield_{end}" for end in ("low", "high")]
        for name, value in zip(limits, ends, strict=True):
            graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        clip = helper.make_node(
            "Clip", [node.input[0], *limits], [f"{node.name}/shielded"], f"{node.name}/shield"
        )
        node.input[0] = clip.output[0]
        graph.node.insert(at, clip)


def _last_operations(model: onnx.ModelProto, tensor: str) -> Iterator[str]:
    """Names of the operation that makes a tensor, and of those behind it that only reshape."""
    makers = {output: node for node in model.graph.node for output in node.output}
    while (node := makers.get(tensor)) is not None:
        yield node.name
        if node.op_type not in _RESHAPING:
            return
        tensor = node.input[0]


def float_operations(model: onnx.ModelProto) -> dict[str, int]:
    """Operations of an optimised graph that still compute in float, by kind.

    Pass the graph ONNX Runtime wrote to `optimized_model_filepath`: there, integer work has names
    of its own (QLinearConv, QLinearAdd, …), so a Conv, Add or Mul that is left computes in float.
    """
    kinds = {
        "Conv",
        "FusedConv",
        "Gemm",
        "MatMul",
        "Add",
        "Mul",
        "Clip",
        "Relu",
        "Resize",
        "Concat",
    }
    counts: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in kinds:
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts
