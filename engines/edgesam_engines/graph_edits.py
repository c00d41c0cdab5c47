"""Small edits of ONNX graphs that exporters leave undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgesam_rt.types import AnyArray

PIXELS = "pixels_u8"


def fold_pads(model: onnx.ModelProto) -> None:
    """Move a zero Pad in front of a Conv into the Conv, in place.

    A Pad of its own is one more pass over the data, and breaks the chain of integer ops.
    """
    graph = model.graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    pads = {n.output[0]: n for n in graph.node if n.op_type == "Pad" and _is_zero_pad(n, values)}
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    for node in list(graph.node):
        pad = pads.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or users[pad.output[0]] != 1:
            continue
        _, _, top, left, _, _, bottom, right = values[pad.input[1]].tolist()
        own = next((a for a in node.attribute if a.name == "pads"), None)
        before = list(own.ints) if own is not None else [0, 0, 0, 0]
        if own is not None:
            node.attribute.remove(own)
        total = [a + b for a, b in zip(before, (top, left, bottom, right), strict=True)]
        node.attribute.append(helper.make_attribute("pads", total))
        node.input[0] = pad.input[0]
        graph.node.remove(pad)


def _is_zero_pad(pad: onnx.NodeProto, values: Mapping[str, AnyArray]) -> bool:
    """Whether a Pad puts a known number of zeros around height and width, and does nothing else."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    amounts = values.get(pad.input[1])
    if mode != b"constant" or amounts is None or len(amounts) != 8:
        return False
    filled_with = pad.input[2] if len(pad.input) > 2 else ""
    is_zero = not filled_with or (filled_with in values and not np.any(values[filled_with]))
    return bool(is_zero and not np.any(amounts[[0, 1, 4, 5]]) and np.all(amounts >= 0))


def take_uint8_pixels(model: onnx.ModelProto, view: Sequence[int], mean: float, std: float) -> None:
    """Make the graph's one float NCHW input a uint8 picture, in place.

    The picture (1, S, S, 3) is viewed as `view` (channels last), turned to NCHW, and read as
    `(value - mean) / std`: by a DequantizeLinear where the graph reads it as uint8 (mean and std
    are then its zero point and scale, exactly), else by Cast, Sub and Mul. The Cast comes first:
    TensorRT takes bytes only where a network begins, and does nothing with them but that.
    """
    graph = model.graph
    (old,) = graph.input
    quantize = _byte_reader(model, old.name)
    side = view[1]
    source = PIXELS if quantize is not None else "pixels_float"
    front = [
        helper.make_node("Reshape", [source, "pixels_view"], ["pixels_grouped"], "view_pixels"),
        helper.make_node(
            "Transpose", ["pixels_grouped"], ["pixels_nchw"], "to_nchw", perm=[0, 3, 1, 2]
        ),
    ]
    new = [numpy_helper.from_array(np.array(view, np.int64), "pixels_view")]
    if quantize is None:
        front = [
            helper.make_node("Cast", [PIXELS], [source], "to_float", to=TensorProto.FLOAT),
            *front,
            helper.make_node("Sub", ["pixels_nchw", "pixels_mean"], ["pixels_centred"], "centre"),
            helper.make_node("Mul", ["pixels_centred", "pixels_scale"], [old.name], "scale"),
        ]
        new += [
            numpy_helper.from_array(np.array(mean, np.float32), "pixels_mean"),
            numpy_helper.from_array(np.array(1 / std, np.float32), "pixels_scale"),
        ]
    else:
        front[-1].output[0] = quantize.output[0]
        for initializer in graph.initializer:
            if initializer.name == quantize.input[1]:
                value: object = np.array(1 / std, np.float32)
            elif initializer.name == quantize.input[2]:
                value = np.array(mean, np.uint8)
            else:
                continue
            initializer.CopyFrom(numpy_helper.from_array(np.asarray(value), initializer.name))
        graph.node.remove(quantize)
    for i, node in enumerate(front):
        graph.node.insert(i, node)
    graph.initializer.extend(new)
    graph.input.remove(old)
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [1, side, side, 3]))
    sort_nodes(model)


def square_by_multiplying(model: onnx.ModelProto) -> None:
    """Turn squares into products, in place: TensorRT raises floats to a power, and no integers."""
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for node in model.graph.node:
        power = values.get(node.input[1]) if node.op_type == "Pow" else None
        if power is not None and power.shape == () and power == 2:
            node.op_type = "Mul"
            node.input[1] = node.input[0]


def share_paddings(model: onnx.ModelProto) -> None:
    """Keep one of all equal constants of zeros that are concatenated to maps, in place."""
    graph = model.graph
    joined = {name for n in graph.node if n.op_type == "Concat" for name in n.input}
    other = {name for n in graph.node if n.op_type != "Concat" for name in n.input}
    kept: dict[tuple[int, ...], str] = {}
    same: dict[str, str] = {}
    for tensor in list(graph.initializer):
        if tensor.name not in joined - other or np.any(numpy_helper.to_array(tensor)):
            continue
        same[tensor.name] = kept.setdefault((tensor.data_type, *tensor.dims), tensor.name)
        if same[tensor.name] != tensor.name:
            graph.initializer.remove(tensor)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def _byte_reader(model: onnx.ModelProto, name: str) -> onnx.NodeProto | None:
    """The QuantizeLinear to uint8 that reads a tensor, if there is one."""
    zero_points = {i.name: i.data_type for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] == name:
            return node if zero_points.get(node.input[2]) == TensorProto.UINT8 else None
    return None


def sort_nodes(model: onnx.ModelProto) -> None:
    """Put every node behind those it needs, in place, as ONNX wants it; else the order stays."""
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    waiting, ready, done = list(graph.node), [], set[str]()
    while waiting:
        later = []
        for node in waiting:
            if all(name in done or name not in made for name in node.input):
                ready.append(node)
                done.update(node.output)
            else:
                later.append(node)
        waiting = later
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ready]
    del graph.node[:]
    graph.node.extend(copies)
