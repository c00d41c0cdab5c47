"""Torch modules to ONNX graphs with our tensor names."""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime as ort
import torch

from edgesam_engines.families.base import GraphSpec
from edgesam_engines.graph_edits import share_paddings
from edgesam_engines.onnx_network import OnnxNetwork
from edgesam_rt.sinks.files import write_failed

OPSET = 17
_ROOM = 2  # folded constants may be larger than what they were made from
log = logging.getLogger(__name__)


def to_onnx(spec: GraphSpec) -> onnx.ModelProto:
    """Export one graph, checked by onnx's own checker.

    The tracing exporter is used on purpose: its graphs have static shapes wherever no free axis
    was asked for, and the same names on every run, which makes builds reproducible.
    """
    if isinstance(spec.module, OnnxNetwork):
        return spec.module.exported()
    buffer = io.BytesIO()
    names = list(spec.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of every shape it takes as a constant
        torch.onnx.export(
            spec.module,
            tuple(spec.inputs.values()),
            buffer,  # type: ignore[arg-type]  # it takes streams, its types do not say so
            input_names=names,
            output_names=list(spec.outputs),
            opset_version=OPSET,
            dynamic_axes={n: dict(axes) for n, axes in spec.free_axes.items()},
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _name_output_axes(model, spec)
    onnx.checker.check_model(model)
    return model


def _name_output_axes(model: onnx.ModelProto, spec: GraphSpec) -> None:
    """Give every output axis its length or its free axis's name; the tracer makes names up."""
    with torch.no_grad():
        made = spec.module(*spec.inputs.values())
    tensors = made if isinstance(made, tuple) else (made,)
    for value, tensor in zip(model.graph.output, tensors, strict=True):
        free = spec.free_axes.get(value.name, {})
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if axis in free:
                dim.dim_param = free[axis]
            else:
                dim.dim_value = tensor.shape[axis]


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and infer shapes, as quantization wants it; standard operations only."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        content, path = model.SerializeToString(), Path(folder) / "simplified.onnx"
        _require_room(path.parent, _ROOM * len(content))
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        simplified = onnx.load(path)
    share_paddings(simplified)
    return onnx.shape_inference.infer_shapes(simplified)


def _require_room(folder: Path, size: int) -> None:
    """Say it plainly where ONNX Runtime would call a full disk a broken graph."""
    if shutil.disk_usage(folder).free < size:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wanted = f"It needs {size / 1e6:.0f} MB for a while; TMPDIR names another temporary folder."
        raise write_failed("build", folder.parent, full, wanted)
