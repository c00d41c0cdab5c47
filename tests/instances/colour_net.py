"""A real network with the signature of a YOLOv8-seg export, whose weights say what colours are.

It finds every shape of one of `COLOURS` on other ground, and as one more instance `WHOLE`: red and
white together. Membership in a colour is two convolutions and a sigmoid; boxes come from the
colours' extents by way of a softmax over 16 distances, as such networks do it; prototypes are the
colours' maps, and an instance's coefficients name its map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgesam_rt.types import F32, U8, AnyArray

GROUND = (114, 114, 114)
COLOURS = {
    "red": (220, 40, 40),
    "white": (250, 250, 250),
    "green": (40, 200, 60),
    "blue": (50, 60, 220),
    "yellow": (235, 215, 40),
    "disc": (212, 132, 60),  # that of the runtime's self-test
}
NAMES = (*COLOURS, "whole")
WHOLE = len(COLOURS)
STRIDES = (8, 16, 32)
LEVELS = {8: range(WHOLE), 16: range(WHOLE), 32: (WHOLE,)}  # what each grid looks for
DEPTH, BINS = 32, 16
_NEAR = 0.25  # sum of the channels' differences within which a colour is one
_STEEP = 40.0
_LOUD = 6.0  # logit inside and outside of an instance
_SHARP = 2.0  # of the distribution over distances
_SURE, _PURE, _RANK = 6.0, 120.0, 0.4  # a cell's logit: all of one colour, per share, per name


def confidence(name: str) -> float:
    """Score of an instance of a colour."""
    logit = _SURE - _RANK * NAMES.index(name)
    return float(1 / (1 + np.exp(-logit)))


def shapes_picture(hw: tuple[int, int] = (192, 256)) -> U8:
    """Five shapes of five colours, white over the edge of red: (H, W, 3) uint8 RGB."""
    h, w = hw
    y, x = np.mgrid[:h, :w]
    y, x = y * 192 / h, x * 256 / w
    pixels = np.empty((h, w, 3), np.uint8)
    pixels[:] = GROUND
    pixels[(x - 70) ** 2 + (y - 60) ** 2 <= 46**2] = COLOURS["red"]
    pixels[(x - 116) ** 2 + (y - 62) ** 2 <= 20**2] = COLOURS["white"]
    pixels[(abs(x - 180) <= 36) & (abs(y - 40) <= 22)] = COLOURS["green"]
    pixels[((x - 180) / 50) ** 2 + ((y - 130) / 30) ** 2 <= 1] = COLOURS["blue"]
    pixels[(x >= 16) & (y >= 140) & (x + y <= 240)] = COLOURS["yellow"]
    return pixels


def shape_mask(pixels: U8, name: str) -> AnyArray:
    """(H, W) bool: where a picture has a colour, or both of the whole."""
    names = ("red", "white") if name == "whole" else (name,)
    return np.any([(pixels == COLOURS[n]).all(-1) for n in names], 0)


@dataclass
class _Net:
    """Nodes and constants under way."""

    nodes: list[onnx.NodeProto]
    values: list[onnx.TensorProto]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.values)}"
        self.values.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"{op}_{name}", **attributes))
        return name

    def conv(self, source: str, weight: AnyArray, bias: Any) -> str:
        """A 1x1 convolution with weights (O, I)."""
        matrix = np.asarray(weight, np.float32)[:, :, None, None]
        biases = np.broadcast_to(np.asarray(bias, np.float32), len(matrix))
        ends = self.constant(matrix), self.constant(biases)
        return self.add("Conv", source, *ends, kernel_shape=[1, 1])

    def flat(self, source: str, depth: int) -> str:
        """A map (1, D, n, n) as (1, D, n * n)."""
        return self.add("Reshape", source, self.constant([1, depth, -1], np.int64))

    def halves(self, source: str, axis: int) -> tuple[str, str]:
        """Both halves of a tensor."""
        first, second = f"t{len(self.nodes)}", f"t{len(self.nodes)}b"
        self.nodes.append(helper.make_node("Split", [source], [first, second], first, axis=axis))
        return first, second


def export(side: int = 256, classes: int = 1, opset: int = 17) -> onnx.ModelProto:
    """The network: `images` (1, 3, S, S) to `output0` and `output1`."""
    net = _Net([], [])
    maps = _memberships(net)
    low, high = _extents(net, maps, side)
    levels = [_level(net, maps, (low, high), side, stride, classes) for stride in STRIDES]
    boxes, scores, coefficients = (
        net.add("Concat", *parts, axis=2) for parts in zip(*levels, strict=True)
    )
    decoded = _decoded(net, boxes, side)
    likely = net.add("Sigmoid", scores)
    net.add("Concat", decoded, likely, coefficients, out="output0", axis=1)
    _prototypes(net, maps)
    cells = sum((side // s) ** 2 for s in STRIDES)
    ends = {
        "output0": [1, 4 + classes + DEPTH, cells],
        "output1": [1, DEPTH, side // 4, side // 4],
    }
    return _model(net, side, ends, opset)


def _model(net: _Net, side: int, ends: dict[str, list[int]], opset: int) -> onnx.ModelProto:
    picture = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends.items()]
    graph = helper.make_graph(net.nodes, "colours", [picture], outputs, net.values)
    imports = [helper.make_opsetid("", min(opset, 17))]  # its operators are alike from 13 to 17
    made = helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.checker.check_model(made)
    return made if opset <= 17 else onnx.version_converter.convert_version(made, opset)


def _memberships(net: _Net) -> str:
    """(1, K, S, S) in [0, 1]: how much each pixel is of each colour, and of the whole."""
    colours = np.array(list(COLOURS.values()), np.float32) / 255
    signs = np.concatenate([np.eye(3), -np.eye(3)])  # both signs of every channel's difference
    weight = np.tile(signs, (len(colours), 1))
    parts = net.add("Relu", net.conv("images", weight, -(signs @ colours.T).T.ravel()))
    sums = np.kron(np.eye(len(colours)), np.ones((1, 6)))
    near = net.add("Sigmoid", net.conv(parts, -_STEEP * sums, _STEEP * _NEAR))
    both = np.zeros((1, len(colours)))
    both[0, :2] = 1
    return net.conv(near, np.concatenate([np.eye(len(colours)), both]), 0.0)


def _extents(net: _Net, maps: str, side: int) -> tuple[str, str]:
    """(1, K, 1, 2) first and last edges of every colour, x then y, px."""
    at = np.arange(side)
    lows, highs = [], []
    for shape in ((1, 1, 1, side), (1, 1, side, 1)):
        ends = []
        for values in (side - at, at + 1):
            far = net.add("Mul", maps, net.constant(values.reshape(shape)))
            ends.append(net.add("ReduceMax", far, axes=[2, 3], keepdims=1))
        lows.append(net.add("Sub", net.constant([[[[side]]]]), ends[0]))
        highs.append(ends[1])
    return net.add("Concat", *lows, axis=3), net.add("Concat", *highs, axis=3)


def _level(
    net: _Net, maps: str, ends: tuple[str, str], side: int, stride: int, classes: int
) -> tuple[str, str, str]:
    """Distances (1, 64, n * n), logits (1, classes, n * n), coefficients (1, 32, n * n)."""
    mine = np.isin(np.arange(len(NAMES)), LEVELS[stride])
    pool = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
    share = net.add("AveragePool", maps, **pool)
    own = net.add("Mul", share, net.constant(mine.reshape(1, -1, 1, 1)))
    centres = np.arange(side // stride) * stride + stride / 2
    sides = []
    for end, sign in zip(ends, (1, -1), strict=True):
        x, y = net.halves(end, axis=3)
        for edge, shape in ((x, (1, 1, 1, -1)), (y, (1, 1, -1, 1))):
            away = net.add("Sub", net.constant(centres.reshape(shape)), edge)
            scaled = np.full((1, len(NAMES)), sign / stride)
            sides.append(net.conv(net.add("Mul", own, away), scaled, 0.0))
    distances = net.add("Relu", net.add("Concat", *sides, axis=1))
    bins = np.arange(BINS)
    weight = np.kron(np.eye(4), 2 * _SHARP * bins[:, None])
    boxes = net.conv(distances, weight, np.tile(-_SHARP * bins**2, 4))
    best = net.add("Concat", net.add("ReduceMax", own, axes=[1], keepdims=1), own, axis=1)
    weight = np.zeros((classes, 1 + len(NAMES)))
    weight[-1] = [_PURE, *(-_RANK * np.arange(len(NAMES)))]
    scores = net.conv(best, weight, _SURE - _PURE)
    naming = np.zeros((DEPTH, len(NAMES)))
    naming[: len(NAMES)] = np.eye(len(NAMES))
    unused = np.arange(DEPTH) >= len(NAMES)  # their prototypes are zero
    return (
        net.flat(boxes, 4 * BINS),
        net.flat(scores, classes),
        net.flat(net.conv(own, naming, unused * np.linspace(-1, 1, DEPTH)), DEPTH),
    )


def _decoded(net: _Net, distances: str, side: int) -> str:
    """(1, 4, cells) centre and size, px."""
    apart = net.add("Reshape", distances, net.constant([1, 4, BINS, -1], np.int64))
    chances = net.add("Softmax", net.add("Transpose", apart, perm=[0, 2, 1, 3]), axis=1)
    mean = net.constant(np.arange(BINS).reshape(1, BINS, 1, 1))
    four = net.add(
        "Reshape",
        net.add("Conv", chances, mean, kernel_shape=[1, 1]),
        net.constant([1, 4, -1], np.int64),
    )
    before, behind = net.halves(four, axis=1)
    anchors, strides = _anchors(side)
    anchor = net.constant(anchors)
    low, high = net.add("Sub", anchor, before), net.add("Add", anchor, behind)
    centre = net.add("Div", net.add("Add", low, high), net.constant(2.0))
    both = net.add("Concat", centre, net.add("Sub", high, low), axis=1)
    return net.add("Mul", both, net.constant(strides))


def _anchors(side: int) -> tuple[F32, F32]:
    """Of all cells: centre in cells (1, 2, N), x first, and stride (1, 1, N)."""
    grids = [np.mgrid[: side // s, : side // s][::-1].reshape(2, -1) + 0.5 for s in STRIDES]
    strides = [np.full((side // s) ** 2, s) for s in STRIDES]
    joined = np.concatenate(grids, 1)[None].astype(np.float32)
    return joined, np.concatenate(strides)[None, None].astype(np.float32)


def _prototypes(net: _Net, maps: str) -> None:
    """(1, 32, S / 4, S / 4): -LOUD to LOUD for each colour, the rest unused."""
    small = net.add("AveragePool", maps, kernel_shape=[4, 4], strides=[4, 4])
    weight = np.zeros((DEPTH, len(NAMES)))
    weight[: len(NAMES)] = 2 * _LOUD * np.eye(len(NAMES))
    bias = np.where(np.arange(DEPTH) < len(NAMES), -_LOUD, 0.0)
    net.conv(small, weight, bias)
    net.nodes[-1].output[0] = "output1"
