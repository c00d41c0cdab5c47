"""Rules for operations that look at windows of a map: convolutions, pooling, doubling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value, no_bias
from edgesam_engines.litert.rules_sums import reduced
from edgesam_engines.litert.windows import Windows

NHWC = (0, 2, 3, 1)


def _convolution(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    weight = to.known(node.inputs[1])
    group, channels = node.whole("group", 1), value.shape[1]
    depthwise = group == channels > 1
    if len(weight) % group:
        raise TranslationError(f"{node.name}: {group} groups of {len(weight)} channels in all.")
    windows = Windows.of(node, value.shape)
    shape = (value.shape[0], len(weight), *windows.sides)
    how = to.quants.get(node.inputs[1])
    quant = Quant(how.scale, how.zero, 3 if depthwise else 0) if how else None
    moved = weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    inputs = [
        to.laid(windows.around(to, value, name), NHWC),
        to.graph.constant(node.inputs[1], np.ascontiguousarray(moved), quant),
        _bias(to, node, len(weight)),
    ]
    more: dict[str, Any] = {"depthMultiplier": len(weight) // group} if depthwise else {}
    made = to.emit(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        inputs,
        name,
        [shape[a] for a in NHWC],
        quant=to.quants.get(name),
        fusedActivationFunction=node.activation,
        **windows.options,
        **more,
    )
    to.put(name, _map(made, shape))


def _bias(to: Lowering, node: Node, channels: int) -> int:
    """Of a convolution; zeros where it has none."""
    if len(node.inputs) > 2:
        name = node.inputs[2]
        return to.graph.constant(name, to.known(name), to.quants.get(name))
    return no_bias(to, node, f"{node.outputs[0]}/bias", channels)


def _map(tensor: int, shape: tuple[int, ...]) -> Value:
    """A value that lies with its channels last."""
    return Value(tensor, shape, tuple(a for a in NHWC if shape[a] > 1))


def _average_pool(to: Lowering, node: Node) -> None:
    """Windows side by side; integers as a depthwise convolution with ones, rounded once."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    kernel = node.wholes("kernel_shape")
    if kernel != node.wholes("strides", (1, 1)) or any(node.wholes("pads")):
        raise TranslationError(f"{node.name}: only windows that lie side by side.")
    shape = (*value.shape[:2], *Windows.of(node, value.shape).sides)
    if name in to.quants:
        _integer_average(to, node, value, shape)
        return
    n, c, h, w = shape
    if value.order == tuple(sorted(value.order)):  # each channel as a picture: nothing is moved
        source, made_shape = to.flat(value, [n * c, *value.shape[2:], 1]), [n * c, h, w, 1]
    else:
        source, made_shape = to.laid(value, NHWC), [n, h, w, c]
    made = to.emit(
        "AVERAGE_POOL_2D",
        [source],
        name,
        made_shape,
        padding=schema.Padding.VALID,
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        strideH=kernel[0],
        strideW=kernel[1],
    )
    order = (0, 1, 2, 3) if made_shape[-1] == 1 else NHWC
    to.put(name, Value(made, shape, tuple(a for a in order if shape[a] > 1)))


def _integer_average(
    to: Lowering, node: Node, value: Value, shape: tuple[int, int, int, int]
) -> None:
    name, channels = node.outputs[0], value.shape[1]
    kernel = node.wholes("kernel_shape")
    source = to.quants[node.inputs[0]]
    share = np.full(channels, 1 / math.prod(kernel), np.float32)
    nothing = np.zeros(channels, np.int64)
    ones = np.ones((1, *kernel, channels), np.int8)
    inputs = [
        to.laid(value, NHWC),
        to.graph.constant(f"{name}/ones", ones, Quant(share, nothing, 3)),
        to.graph.constant(
            f"{name}/bias", np.zeros(channels, np.int32), Quant(share * source.scale, nothing)
        ),
    ]
    n, c, h, w = shape
    made = to.emit(
        "DEPTHWISE_CONV_2D",
        inputs,
        name,
        [n, h, w, c],
        quant=to.quants[name],
        depthMultiplier=1,
        padding=schema.Padding.VALID,
        strideH=kernel[0],
        strideW=kernel[1],
    )
    to.put(name, _map(made, shape))


def _global_average(to: Lowering, node: Node) -> None:
    reduced(to, "MEAN", to.value(node.inputs[0]), (2, 3), node.outputs[0], keep=True)


def _resize(to: Lowering, node: Node) -> None:
    """Nearest neighbour, by whole factors."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    if node.attributes.get("mode", b"nearest") != b"nearest":
        raise TranslationError(f"{node.name}: only nearest neighbours.")
    if len(node.inputs) > 3 and node.inputs[3]:
        sizes = to.known(node.inputs[3])[2:].tolist()
    else:
        sizes = (to.known(node.inputs[2])[2:] * value.shape[2:]).astype(int).tolist()
    argument = to.graph.constant(f"{name}/size", np.array(sizes, np.int32))
    shape = (*value.shape[:2], *sizes)
    made = to.emit(
        "RESIZE_NEAREST_NEIGHBOR",
        [to.laid(value, NHWC), argument],
        name,
        [shape[a] for a in NHWC],
        quant=to.quants.get(name),
    )
    to.put(name, _map(made, shape))


RULES: dict[str, Rule] = {
    "AveragePool": _average_pool,
    "Conv": _convolution,
    "GlobalAveragePool": _global_average,
    "Resize": _resize,
}
