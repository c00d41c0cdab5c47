"""Rules for pooling: averages and maxima of windows, or of a whole map."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value
from edgesam_engines.litert.rules_sums import reduced
from edgesam_engines.litert.windows import NHWC, Windows, map_of


def _average_pool(to: Lowering, node: Node) -> None:
    """Windows side by side; integers as a depthwise convolution with ones, rounded once."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    kernel = node.wholes("kernel_shape")
    if kernel != node.wholes("strides", (1, 1)) or any(node.wholes("pads")):
        raise TranslationError(f"{node.name}: only windows that lie side by side.")
    (n, c), (h, w) = value.shape[:2], Windows.of(node, value.shape).sides
    shape = (n, c, h, w)
    if name in to.quants:
        _integer_average(to, node, value, shape)
        return
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
    to.put(name, map_of(made, shape))


def _global_average(to: Lowering, node: Node) -> None:
    reduced(to, "MEAN", to.value(node.inputs[0]), (2, 3), node.outputs[0], keep=True)


def _max_pool(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    windows = Windows.of(node, value.shape)
    shape = (*value.shape[:2], *windows.sides)
    quant = to.graph.quant(value.tensor)
    lowest = np.int8(-128) if quant else np.finfo(np.float32).min
    made = to.emit(
        "MAX_POOL_2D",
        [to.laid(windows.around(to, value, name, np.asarray(lowest)), NHWC)],
        name,
        [shape[a] for a in NHWC],
        quant=quant,
        filterHeight=windows.kernel[0],
        filterWidth=windows.kernel[1],
        **windows.options,
    )
    to.put(name, map_of(made, shape))


RULES: dict[str, Rule] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "MaxPool": _max_pool,
}
