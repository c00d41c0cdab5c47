"""Rules for operations that look at windows of a map: convolutions, enlargements."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import Lowering, Node, Rule, no_bias
from edgesam_engines.litert.windows import NHWC, Windows, map_of


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
    to.put(name, map_of(made, shape))


def _bias(to: Lowering, node: Node, channels: int) -> int:
    """Of a convolution; zeros where it has none."""
    if len(node.inputs) > 2:
        name = node.inputs[2]
        return to.graph.constant(name, to.known(name), to.quants.get(name))
    return no_bias(to, node, f"{node.outputs[0]}/bias", channels)


def _transposed_convolution(to: Lowering, node: Node) -> None:
    """Without padding, and its border cut off: LiteRT would cut at other sides."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    weight = to.known(node.inputs[1])
    kernel, strides = weight.shape[2:], node.wholes("strides", (1, 1))
    pads, more = node.wholes("pads", (0, 0, 0, 0)), node.wholes("output_padding", (0, 0))
    if node.whole("group", 1) != 1 or set(node.wholes("dilations", (1, 1))) != {1}:
        raise TranslationError(f"{node.name}: only one group, without dilations.")
    if any(m > p for m, p in zip(more, pads[2:], strict=True)):
        raise TranslationError(f"{node.name}: output padding {more} with padding {pads}.")
    n, _, *size = value.shape
    whole = [(size[i] - 1) * strides[i] + kernel[i] for i in range(2)]
    sides = [whole[i] - pads[i] - pads[2 + i] + more[i] for i in range(2)]
    channels = weight.shape[1]
    made = to.emit(
        "TRANSPOSE_CONV",
        [
            to.graph.constant(f"{name}/size", np.array([n, *whole, channels], np.int32)),
            to.graph.constant(node.inputs[1], np.ascontiguousarray(weight.transpose(1, 2, 3, 0))),
            to.laid(value, NHWC),
            _bias(to, node, channels),
        ],
        f"{name}/whole",
        [n, *whole, channels],
        strideH=strides[0],
        strideW=strides[1],
        padding=schema.Padding.VALID,
    )
    if sides != whole:
        begin = to.graph.constant(f"{name}/begin", np.array([0, *pads[:2], 0], np.int32))
        length = to.graph.constant(f"{name}/length", np.array([n, *sides, channels], np.int32))
        made = to.emit("SLICE", [made, begin, length], name, [n, *sides, channels])
    to.put(name, map_of(made, (n, channels, *sides)))


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
    to.put(name, map_of(made, shape))


RULES: dict[str, Rule] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Resize": _resize,
}
