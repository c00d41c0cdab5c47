"""Encoders as TensorRT takes them: int8 around zero, float weights and biases, bytes cast at once.

What its ONNX parser asks for was read from its sources (release/8.5-GA to 10.1): zero points are 0;
QuantizeLinear and DequantizeLinear have three inputs; weights of a quantized layer are float with
a pair of their own, and biases are float (int8 weights fail on 8.x: "invalid weights type of Int8",
NVIDIA/TensorRT issues 2163 and 3360); uint8 is for inputs of the network alone, and only Cast reads
it. An activation belongs to its layer: no pair stands between a convolution and its ReLU6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesam_engines import graph_edits, pack
from edgesam_engines.ptq.apply import Quantized
from edgesam_engines.ptq.bias import BIAS_PLACE
from edgesam_engines.ptq.graphs import ACTIVATIONS, Progress, constants, makers, readers
from edgesam_engines.ptq.rounding import rounding_of
from edgesam_rt.manifest import EngineFile, Preprocess
from edgesam_rt.types import AnyArray

BACKEND = "tensorrt"


def same_file(entry: EngineFile) -> EngineFile:
    """The entry of a float graph that serves TensorRT as it is."""
    return msgspec.structs.replace(entry, backend=BACKEND)


def write_encoder(
    folder: Path, made: Quantized, beside: EngineFile, preprocess: Preprocess, progress: Progress
) -> EngineFile:
    """Write the encoder for TensorRT into a bundle's folder and describe it.

    Args:
        folder: of the bundle.
        made: the encoder for ONNX Runtime.
        beside: its entry; the tensors are the same.
        preprocess: how a picture becomes its input.
        progress: told of every step that takes a while.
    """
    if made.maker is None:
        return same_file(beside)
    graph = symmetric_encoder(made, preprocess, progress)
    onnx.checker.check_model(graph)
    return pack.write_file(
        folder,
        graph.SerializeToString(deterministic=True),
        part=beside.part,
        backend=BACKEND,
        file=f"{Path(beside.file).stem}-s8.onnx",
        side=beside.side,
        inputs=beside.inputs,
        outputs=beside.outputs,
    )


def symmetric_encoder(
    made: Quantized, preprocess: Preprocess, progress: Progress | None = None
) -> onnx.ModelProto:
    """The int8 encoder for TensorRT from the calibration that made the one for ONNX Runtime.

    Args:
        made: the other one; its maker is used, and what it left float stays float.
        preprocess: how a picture becomes its input.
        progress: told of every step that takes a while.
    """
    assert made.maker is not None
    graph = made.maker.as_symmetric(progress).make(made.facts["float_layers"])
    join_activations(graph)
    float_constants(graph)
    if preprocess.normalised_in_engine:
        _take_bytes(graph, preprocess)
    else:
        graph_edits.sort_nodes(graph)
    _only_standard_operators(graph)
    return graph


def _take_bytes(model: onnx.ModelProto, preprocess: Preprocess) -> None:
    (source,) = model.graph.input
    _, channels, height, width = (d.dim_value for d in source.type.tensor_type.shape.dim)
    if preprocess.mean[0] >= 127:  # else int8 around zero holds every second grey level
        exact_input_steps(model, source.name, preprocess.std[0])
    shape = (1, height, width, channels)
    graph_edits.take_uint8_pixels(model, shape, preprocess.mean[0], preprocess.std[0])


def join_activations(model: onnx.ModelProto) -> None:
    """Let activations read their layer's output as it is, not quantized in between; in place."""
    graph, made, read = model.graph, makers(model), readers(model)
    for node in graph.node:
        dequantize = made.get(node.input[0]) if node.op_type in ACTIVATIONS else None
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        quantize = made[dequantize.input[0]]
        if len(read[dequantize.output[0]]) == len(read[quantize.output[0]]) == 1:
            node.input[0] = quantize.input[0]
            graph.node.remove(dequantize)
            graph.node.remove(quantize)


def float_constants(model: onnx.ModelProto) -> None:
    """Store weights as the floats that they stand for, behind a QuantizeLinear of their own.

    Biases become floats and nothing else. In place; no value changes.
    """
    graph, made, known = model.graph, makers(model), constants(model)
    rounded = rounding_of(model).weights
    for node in list(graph.node):
        for place, values in rounded.get(node.name, {}).items():
            dequantize = made[node.input[place]]
            stored = f"{node.name}/float_{place}"
            graph.initializer.append(numpy_helper.from_array(values, stored))
            if place == BIAS_PLACE:
                node.input[place] = stored
            else:
                _quantize_first(graph, dequantize, stored, known)
    _drop_unread(model)


def _quantize_first(
    graph: onnx.GraphProto, dequantize: onnx.NodeProto, stored: str, known: Mapping[str, AnyArray]
) -> None:
    """Put a QuantizeLinear of a float constant in front of a DequantizeLinear."""
    scale = known[dequantize.input[1]]
    axis = next((int(a.i) for a in dequantize.attribute if a.name == "axis"), 1)
    levels = f"{stored}/levels"
    made = helper.make_node(
        "QuantizeLinear", [stored, *dequantize.input[1:]], [levels], f"{stored}/quantize"
    )
    if scale.ndim:
        made.attribute.append(helper.make_attribute("axis", axis))
    dequantize.input[0] = levels
    graph.node.insert(list(graph.node).index(dequantize), made)


def exact_input_steps(model: onnx.ModelProto, name: str, std: float) -> None:
    """Quantize the picture in steps of one grey level, in place.

    Bytes less a mean of 127 are -127 to 128: all but the last are an int8 of their own.
    """
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] == name:
            scale = node.input[1]
            value = numpy_helper.from_array(np.array(1 / std, np.float32), scale)
            next(i for i in model.graph.initializer if i.name == scale).CopyFrom(value)


def _drop_unread(model: onnx.ModelProto) -> None:
    """Take away pairs and constants that nothing reads any more, in place."""
    graph, outputs = model.graph, {o.name for o in model.graph.output}
    read = {*readers(model), *outputs}
    for node in [n for n in graph.node if read.isdisjoint(n.output)]:
        graph.node.remove(node)
    read = {*readers(model), *outputs}
    for constant in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(constant)
    del graph.value_info[:]


def _only_standard_operators(model: onnx.ModelProto) -> None:
    """Name no operator set but ONNX's own, in place; the quantizer names several and uses none."""
    own = [s for s in model.opset_import if not s.domain]
    del model.opset_import[:]
    model.opset_import.extend(own)
