"""Bias correction: a layer's mean error per channel is no noise, and its bias can take it out.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.2 and appendix D (the empirical form). Means come from each layer alone with exact inputs,
so that all layers can be corrected from one pass: what one layer passes on is taken out there, and
not a second time behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from edgesam_engines.ptq.graphs import constants, copied, layers, makers, replace_constant
from edgesam_engines.ptq.local import LocalError

BIAS_PLACE = 2  # among the inputs of Conv, ConvTranspose and Gemm


def with_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a float graph in which every layer that may have a bias has one, if only zeros.

    MatMul has no place for one; such layers are not corrected.
    """
    out = copied(model)
    values = constants(out)
    kinds = {x.name: x for x in layers(out) if x.kind != "MatMul"}
    for node in out.graph.node:
        if node.name not in kinds or (len(node.input) > BIAS_PLACE and node.input[BIAS_PLACE]):
            continue
        name = f"{node.name}/bias"
        zeros = np.zeros(_outputs(node, values[node.input[1]].shape), np.float32)
        out.graph.initializer.append(numpy_helper.from_array(zeros, name))
        node.input[BIAS_PLACE:] = [name]
    return out


def corrected(quantized: onnx.ModelProto, errors: Mapping[str, LocalError]) -> onnx.ModelProto:
    """A copy of a Q/DQ graph whose integer biases make up for rounding.

    Args:
        quantized: the graph; layers whose bias is no integer there stay as they are.
        errors: by layer name, as `local.local_errors` gives them.
    """
    out = copied(quantized)
    values, made = constants(out), makers(out)
    for node in quantized.graph.node:
        if node.name not in errors or len(node.input) <= BIAS_PLACE:
            continue
        dequantize = made.get(node.input[BIAS_PLACE])
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        stored, scale = (values[n] for n in dequantize.input[:2])
        steps = np.round(errors[node.name].mean / scale.astype(np.float64))
        limits = np.iinfo(stored.dtype)
        moved = (stored.astype(np.float64) - steps).clip(limits.min, limits.max)
        replace_constant(out, dequantize.input[0], moved.astype(stored.dtype))
    return out


def _outputs(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    """Channels that a layer makes, from its weight's shape."""
    attributes = {a.name: int(a.i) for a in node.attribute}
    if node.op_type == "Conv":
        return shape[0]
    if node.op_type == "ConvTranspose":
        return shape[1] * max(1, attributes.get("group", 1))
    return shape[0] if attributes.get("transB", 0) else shape[1]
