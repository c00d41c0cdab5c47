"""Torch modules to ONNX graphs with our tensor names."""

from __future__ import annotations

import io
import logging
import warnings

import onnx
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgesam_engines.families.base import GraphSpec

OPSET = 17
log = logging.getLogger(__name__)


def to_onnx(spec: GraphSpec) -> onnx.ModelProto:
    """Export one graph, checked by onnx's own checker.

    The tracing exporter is used on purpose: its graphs have static shapes wherever no free axis
    was asked for, and the same names on every run, which makes builds reproducible.
    """
    buffer = io.BytesIO()
    names = list(spec.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of every shape it takes as a constant
        torch.onnx.export(
            spec.module,
            tuple(spec.inputs.values()),
            buffer,  # type: ignore[arg-type]  # this exporter takes streams; its types do not say so
            input_names=names,
            output_names=list(spec.outputs),
            opset_version=OPSET,
            dynamic_axes={n: dict(axes) for n, axes in spec.free_axes.items()},
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    return model


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer shapes and fold constants, as quantization wants it."""
    source, target = io.BytesIO(model.SerializeToString()), io.BytesIO()
    quant_pre_process(source, target)
    return onnx.load_from_string(target.getvalue())
