"""YOLOX graphs, arranged for integer kernels: the body that is quantized, and the tail behind it.

The published graph (Ge et al. 2021, "YOLOX", Apache-2.0) gives 85 raw numbers per cell. Here:

- *Stem.* YOLOX cuts the picture into four interleaved quarters (12 channels) and convolves 3x3.
  The same sums are one 6x3 convolution with stride (2, 1) over the picture viewed as pairs of
  pixels (6 channels), which needs no slices. The order of colours goes into its weights.
- *Prediction layers.* Box and objectness read the same map: one convolution of five channels.
- *Classes.* Objectness alone finds as many objects as its product with the best class (measured in
  docs/decisions/0007-detector-bundles.md), so 15 of the 110 convolutions are left out.
- *Tail.* Cells to boxes, and the score; it stays float, and is 3,549 cells small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from edgesam_engines import onnx_files
from edgesam_engines.errors import CheckpointError
from edgesam_engines.export import OPSET, simplify
from edgesam_engines.ptq.graphs import constants, makers, with_outputs
from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.types import F32, AnyArray

INPUT = "images"
STRIDES = (8, 16, 32)
PAIRED = 6  # channels of two neighbouring pixels
_FOCUS = ((0, 0), (1, 0), (0, 1), (1, 1))  # row and column offset of each quarter, in their order
_BOX = 4


@dataclass(frozen=True)
class Body:
    """What is quantized.

    Attributes:
        graph: pairs of pixels (1, 6, S, S/2), RGB 0 to 255, to one map of box and objectness
            (1, 5, S/s, S/s) per stride s.
        side: S, px.
        maps: names of these outputs, by rising stride.
    """

    graph: onnx.ModelProto
    side: int
    maps: tuple[str, ...]


def read(path: Path) -> onnx.ModelProto:
    """Read a published YOLOX graph.

    Raises:
        CheckpointError: no such file, or another graph.
    """
    model = onnx_files.read(path)
    shapes = [
        tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
        for v in (*model.graph.input, *model.graph.output)
    ]
    cells = [sum((s[2] // stride) ** 2 for stride in STRIDES) for s in shapes[:1] if len(s) == 4]
    if len(shapes) != 2 or not cells or shapes[1][:2] != (1, cells[0]) or shapes[1][2] <= _BOX + 1:
        raise CheckpointError(
            f"checkpoint {path}: not YOLOX: expected one picture (1, 3, S, S) to (1, cells, 5 + "
            f"classes) raw predictions of strides {STRIDES}, got {shapes}."
        )
    return model


def body(model: onnx.ModelProto) -> Body:
    """Arrange a published graph; it computes the same values.

    Args:
        model: as `read` gives it; BGR, 0 to 255.

    Raises:
        CheckpointError: its layers are not YOLOX's.
    """
    model = simplify(version_converter.convert_version(model, OPSET))
    levels = sorted(_levels(model), key=lambda level: -_shape_of(model, level.box.output[0])[2])
    maps = tuple(_join_box_and_objectness(model, level) for level in levels)
    graph = with_outputs(model, maps)
    side = graph.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    _take_pairs(graph)
    graph = simplify(graph)
    return Body(graph, side, maps)


@dataclass(frozen=True)
class _Level:
    box: onnx.NodeProto
    objectness: onnx.NodeProto


def _levels(model: onnx.ModelProto) -> Iterator[_Level]:
    """The prediction layers of every stride: what Concats of a box and two sigmoids join."""
    made = makers(model)

    def conv(name: str) -> onnx.NodeProto | None:
        node = made.get(name)
        if node is not None and node.op_type == "Sigmoid":
            node = made.get(node.input[0])
        return node if node is not None and node.op_type == "Conv" else None

    found = 0
    for node in model.graph.node:
        if node.op_type != "Concat" or len(node.input) != 3:
            continue
        box, objectness, classes = (conv(name) for name in node.input)
        if box is None or objectness is None or classes is None:
            continue
        if box.input[0] == objectness.input[0]:
            found += 1
            yield _Level(box, objectness)
    if found != len(STRIDES):
        raise CheckpointError(
            f"this graph has {found} sets of prediction layers, YOLOX has {len(STRIDES)}."
        )


def _join_box_and_objectness(model: onnx.ModelProto, level: _Level) -> str:
    """Add one convolution that makes both; returns its output."""
    values, graph = constants(model), model.graph
    name = f"{level.box.output[0]}_and_objectness"
    for i, kind in ((1, "weight"), (2, "bias")):
        both = np.concatenate([values[n.input[i]] for n in (level.box, level.objectness)])
        graph.initializer.append(numpy_helper.from_array(both, f"{name}/{kind}"))
    node = onnx.NodeProto()
    node.CopyFrom(level.box)
    node.name = name
    node.input[1:] = [f"{name}/weight", f"{name}/bias"]
    node.output[0] = name
    _, _, height, width = _shape_of(model, level.box.output[0])
    graph.value_info.append(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _BOX + 1, height, width])
    )
    graph.node.insert(list(graph.node).index(level.box), node)
    return name


def _shape_of(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    for value in (*model.graph.value_info, *model.graph.output):
        if value.name == name:
            return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    raise CheckpointError(f"this graph's tensor {name!r} has no known shape.")


def _take_pairs(model: onnx.ModelProto) -> None:
    """Let the first convolution read pairs of RGB pixels, in place; the slices go."""
    graph = model.graph
    (picture,) = graph.input
    stem = next(n for n in graph.node if n.op_type == "Conv")
    quarters = next((n for n in graph.node if stem.input[0] in n.output), None)
    weight = constants(model)[stem.input[1]]
    if quarters is None or quarters.op_type != "Concat" or weight.shape[1:] != (12, 3, 3):
        raise CheckpointError("this graph does not begin with YOLOX's Focus layer.")
    name = f"{stem.input[1]}/pairs"
    graph.initializer.append(numpy_helper.from_array(focus_to_pairs(weight), name))
    stem.input[:2] = [picture.name, name]
    del stem.attribute[:]
    stem.attribute.extend(
        helper.make_attribute(key, value)
        for key, value in (("kernel_shape", [6, 3]), ("strides", [2, 1]), ("pads", [2, 1, 2, 1]))
    )
    shape = picture.type.tensor_type.shape
    shape.dim[1].dim_value, shape.dim[3].dim_value = PAIRED, shape.dim[3].dim_value // 2
    model.CopyFrom(with_outputs(model, [o.name for o in graph.output]))


def focus_to_pairs(weight: AnyArray) -> AnyArray:
    """A Focus stem's weights (O, 12, 3, 3), BGR, for pairs of RGB pixels: (O, 6, 6, 3)."""
    made = np.zeros((len(weight), PAIRED, 6, 3), weight.dtype)
    for quarter, (row, column) in enumerate(_FOCUS):
        of_quarter = weight[:, 3 * quarter : 3 * quarter + 3][:, ::-1]  # BGR to RGB
        made[:, 3 * column : 3 * column + 3, row::2] = of_quarter
    return made


def add_tail(model: onnx.ModelProto, of: Body) -> None:
    """Turn the body's maps into `boxes_xyxy` (1, N, 4) px and `scores` (1, N), in place."""
    tail = _Tail(model)
    corner, stride = (tail.constant(a) for a in _cells(of.side))
    flat = [tail.add("Reshape", [m, tail.constant(np.array([1, _BOX + 1, -1]))]) for m in of.maps]
    centre, log_size, objectness = tail.split(tail.add("Concat", flat, axis=2), (2, 2, 1))
    centre = tail.add("Mul", [tail.add("Add", [centre, corner]), stride])
    size = tail.add("Mul", [tail.add("Exp", [log_size]), stride])
    half = tail.add("Mul", [size, tail.constant(np.float32(0.5))])
    ends = [tail.add("Sub", [centre, half]), tail.add("Add", [centre, half])]
    tail.add("Transpose", [tail.add("Concat", ends, axis=1)], BOXES, perm=[0, 2, 1])
    cells = tail.add("Reshape", [objectness, tail.constant(np.array([1, -1]))])
    tail.add("Sigmoid", [cells], SCORES)
    n = sum((of.side // s) ** 2 for s in STRIDES)
    del model.graph.output[:]
    for name, shape in ((BOXES, [1, n, _BOX]), (SCORES, [1, n])):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _cells(side: int) -> tuple[F32, F32]:
    """Of all cells: corner in cells (1, 2, N), x first, and stride in pixels (1, 1, N)."""
    corners, strides = [], []
    for stride in STRIDES:
        n = side // stride
        y, x = np.mgrid[:n, :n]
        corners.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(n * n, stride))
    corner, step = np.concatenate(corners, 1)[None], np.concatenate(strides)[None, None]
    return corner.astype(np.float32), step.astype(np.float32)


class _Tail:
    """Appends nodes with names of their own."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._count = 0

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"tail/{kind}_{self._count}"

    def add(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        name = output or self._name(op)
        self._graph.node.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def constant(self, value: AnyArray | np.float32) -> str:
        name = self._name("constant")
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def split(self, source: str, sizes: Sequence[int]) -> list[str]:
        names = [self._name("part") for _ in sizes]
        given = [source, self.constant(np.array(sizes))]
        self._graph.node.append(
            helper.make_node("Split", given, names, self._name("Split"), axis=1)
        )
        return names
