"""A user's own ONNX export of a YOLOv8-seg network: read, checked, brought to one form.

What such an export looks like is public: a picture (1, 3, S, S) in; for each cell of three grids
(strides 8, 16, 32) the centre and size of a box, a probability for each class and coefficients,
(1, 4 + classes + D, cells); and D prototypes, (1, D, S / 4, S / 4). Nothing of the code that trains
or exports such networks was read for this, and none of it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, version_converter

from edgesam_engines import onnx_files
from edgesam_engines.errors import CheckpointError
from edgesam_engines.export import OPSET, simplify
from edgesam_engines.families.fastsam_graph import BOX, Export

SIDE = 1024  # px, of an export whose side is free: FastSAM's own
STRIDES = (8, 16, 32)
PROTOTYPE_STRIDE = 4
NEWEST_OPSET = 21  # that the oldest ONNX Runtime we take (1.19) reads
_ROW_AFTER_SUPPRESSION = 6  # box, score, class
_HOW = "Export it again: format=onnx, imgsz=1024, batch=1, half=False, dynamic=False, nms=False"
_HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
Shape = tuple[int, ...]


def read(path: Path) -> Export:
    """Read an export.

    Raises:
        CheckpointError: no such file, or not such an export; it says what was expected, what is
            there, and how to export.
    """
    model = _loaded(path)
    try:
        _check_float(model)
        side = _fix_input(model)
        _check_without_suppression(model)
        graph = _in_one_form(model)
        return _checked(graph, side)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def _loaded(path: Path) -> onnx.ModelProto:
    if path.suffix in (".pt", ".pth") and path.is_file():
        raise CheckpointError(
            f"checkpoint {path}: weights of torch; only an ONNX export of them can be built. Make "
            f"one with the program they belong to. {_HOW}."
        )
    return onnx_files.read(path)


def _check_float(model: onnx.ModelProto) -> None:
    graph = model.graph
    kinds = {t.data_type for t in graph.initializer}
    kinds |= {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    if kinds & _HALVES:
        raise CheckpointError(f"weights in half precision; single precision is needed. {_HOW}.")
    if any(n.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") for n in graph.node):
        raise CheckpointError(f"it is quantized already; the float one is needed. {_HOW}.")


def _fix_input(model: onnx.ModelProto) -> int:
    """Give free axes their lengths, in place; returns the side of the picture, px."""
    constants = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in constants]
    shapes = {v.name: _shape(v) for v in inputs}
    axes = next(iter(shapes.values())) if len(shapes) == 1 else ()
    if len(axes) != 4 or axes[1] != 3:
        raise CheckpointError(
            f"expected one input, a picture (1, 3, S, S), got {_listed(shapes)}. {_HOW}."
        )
    batch, _, height, width = (n or free for n, free in zip(axes, (1, 3, SIDE, SIDE), strict=True))
    if batch != 1 or height != width or height % max(STRIDES):
        raise CheckpointError(
            f"expected pictures (1, 3, S, S) with S a multiple of {max(STRIDES)}, got "
            f"{(batch, 3, height, width)}. {_HOW}."
        )
    for dim, length in zip(
        inputs[0].type.tensor_type.shape.dim, (1, 3, height, width), strict=True
    ):
        dim.dim_value = length
    return int(height)


def _check_without_suppression(model: onnx.ModelProto) -> None:
    shapes = {v.name: _shape(v) for v in model.graph.output}
    depths = {s[1] for s in shapes.values() if len(s) == 4}
    rows = {s[2] for s in shapes.values() if len(s) == 3}
    inside = any(n.op_type == "NonMaxSuppression" for n in model.graph.node)
    if inside or rows & {_ROW_AFTER_SUPPRESSION + depth for depth in depths}:
        raise CheckpointError(
            f"it has its own suppression of boxes inside (outputs {_listed(shapes)}); here that is "
            f"done by the runtime, with thresholds that can be chosen. {_HOW}."
        )


def _in_one_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same values at an opset we know, with constants folded, shapes known, and nodes named."""
    del model.graph.value_info[:]  # what is said there of free axes is no longer true
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    has = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    try:
        if not OPSET <= has.get("ai.onnx", 0) <= NEWEST_OPSET:
            model = version_converter.convert_version(model, OPSET)
        graph = simplify(model)
    except Exception as error:  # the converter's, the runtime's and protobuf's share no base class
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"it cannot be read, or not brought to opset {OPSET} (it has {has}): {first}. {_HOW}, "
            f"opset={OPSET}."
        ) from error
    for i, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}_{i}"
    return graph


def _checked(graph: onnx.ModelProto, side: int) -> Export:
    """The export, if its outputs are what they ought to be."""
    shapes = {v.name: _shape(v) for v in graph.graph.output}
    cells = sum((side // stride) ** 2 for stride in STRIDES)
    grid = side // PROTOTYPE_STRIDE
    prototypes = [
        n for n, s in shapes.items() if len(s) == 4 and s[0] == 1 and s[2:] == (grid,) * 2
    ]
    answers = [n for n, s in shapes.items() if len(s) == 3 and s[0] == 1 and s[2] == cells]
    if len(shapes) != 2 or len(prototypes) != 1 or len(answers) != 1:
        raise _no_export(shapes, side, cells)
    depth = shapes[prototypes[0]][1]
    classes = shapes[answers[0]][1] - BOX - depth
    if classes < 1:
        raise _no_export(shapes, side, cells)
    return Export(graph, side, classes, answers[0], prototypes[0])


def _no_export(shapes: dict[str, Shape], side: int, cells: int) -> CheckpointError:
    grid = side // PROTOTYPE_STRIDE
    hint = ""
    if len(shapes) == 1 and any(len(s) == 3 and s[2] == cells for s in shapes.values()):
        hint = " It finds boxes alone: a model without masks."
    return CheckpointError(
        f"not a YOLOv8-seg export such as FastSAM's: expected the outputs (1, {BOX} + classes + D, "
        f"{cells}) and (1, D, {grid}, {grid}) for pictures of side {side}, got {_listed(shapes)}."
        f"{hint} {_HOW}."
    )


def _listed(shapes: dict[str, Shape]) -> str:
    return ", ".join(f"{n} ({_lengths(s)})" for n, s in shapes.items()) or "none"


def _lengths(shape: Sequence[int]) -> str:
    return ", ".join(str(n or "?") for n in shape)


def _shape(value: onnx.ValueInfoProto) -> Shape:
    """Lengths of its axes; 0 where one is free."""
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
