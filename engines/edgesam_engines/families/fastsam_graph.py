"""An export's graph with the runtime's outputs, and what of it must not be in integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgesam_engines.ptq.graphs import MOVING, copied, makers
from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.instances.tensors import COEFFICIENTS, PROTOTYPES, TENSORS
from edgesam_rt.types import AnyArray

BOX = 4  # rows of a box: centre x and y, width, height
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


@dataclass(frozen=True)
class Export:
    """An export that was found good.

    Attributes:
        graph: opset 17 or newer, constants folded, all shapes known, all nodes named.
        side: S, px.
        classes: how many.
        answers: name of the tensor (1, 4 + classes + D, cells).
        prototypes: name of the tensor (1, D, S / 4, S / 4).
    """

    graph: onnx.ModelProto
    side: int
    classes: int
    answers: str
    prototypes: str


def arranged(export: Export) -> onnx.ModelProto:
    """The graph with the outputs of `edgesam_rt/instances/tensors.py`; it computes the same values.

    Boxes become corners; of several classes the likeliest gives the score.
    """
    model = copied(export.graph)
    graph = model.graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output}
    (_, rows, cells), grid = shapes[export.answers], shapes[export.prototypes]
    depth = rows - BOX - export.classes
    for name in TENSORS:  # an export may use our names for its own tensors
        _rename(graph, name, f"export/{name}")
    published = (export.answers, export.prototypes)
    answers, prototypes = (f"export/{name}" if name in TENSORS else name for name in published)
    _append_tail(graph, answers, (2, 2, export.classes, depth))
    _rename(graph, prototypes, PROTOTYPES)
    del graph.output[:]
    ends = ([1, cells, BOX], [1, cells], [1, depth, cells], grid)
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(TENSORS, ends, strict=True)
    )
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model)


def _append_tail(graph: onnx.GraphProto, answers: str, parts: tuple[int, ...]) -> None:
    """Take the answers apart: centres, sizes, classes, coefficients."""
    constants: dict[str, AnyArray] = {
        "tail/parts": np.array(parts, np.int64),
        "tail/half": np.array(0.5, np.float32),
        "tail/one": np.array([1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())
    centre, size, classes = "tail/centre", "tail/size", "tail/classes"
    graph.node.extend(
        [
            helper.make_node(
                "Split",
                [answers, "tail/parts"],
                [centre, size, classes, COEFFICIENTS],
                "tail/split",
                axis=1,
            ),
            helper.make_node("Mul", [size, "tail/half"], ["tail/reach"], "tail/halve"),
            helper.make_node("Sub", [centre, "tail/reach"], ["tail/low"], "tail/to_low"),
            helper.make_node("Add", [centre, "tail/reach"], ["tail/high"], "tail/to_high"),
            helper.make_node(
                "Concat", ["tail/low", "tail/high"], ["tail/corners"], "tail/join", axis=1
            ),
            helper.make_node("Transpose", ["tail/corners"], [BOXES], "tail/turn", perm=[0, 2, 1]),
            *_scores(classes, parts[2], "tail/one"),
        ]
    )


def _scores(classes: str, count: int, one: str) -> list[onnx.NodeProto]:
    """The likeliest class of every cell; where there is but one, that."""
    if count == 1:
        return [helper.make_node("Squeeze", [classes, one], [SCORES], "tail/score")]
    best = ["tail/best", "tail/which"]  # TopK reads alike at every opset, ReduceMax does not
    return [
        helper.make_node("TopK", [classes, one], best, "tail/likeliest", axis=1),
        helper.make_node("Squeeze", [best[0], one], [SCORES], "tail/score"),
    ]


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for constant in graph.initializer:
        constant.name = new if constant.name == old else constant.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def kept_float(model: onnx.ModelProto) -> tuple[str, ...]:
    """Tensors whose operations stay in float: all from the head's last convolutions on.

    Behind them boxes, probabilities and coefficients share tensors, and one scale cannot hold
    pixels of a large picture and probabilities. Every branch ends in a convolution of its own, so
    walking back from the outputs ends at each of them; the one that turns a softmax into a
    distance, a sum with fixed weights, is no end.
    """
    made = makers(model)
    waiting, kept = list(TENSORS), set[str]()
    while waiting:
        name = waiting.pop()
        node = made.get(name)
        if node is None or name in kept:
            continue
        kept.update(node.output)
        if node.op_type not in _WEIGHTED or _is_of_softmax(node, made):
            waiting += node.input
    return tuple(name for node in model.graph.node for name in node.output if name in kept)


def _is_of_softmax(node: onnx.NodeProto, made: dict[str, onnx.NodeProto]) -> bool:
    """Whether a convolution reads a softmax, moved at most."""
    before = made.get(node.input[0])
    while before is not None and before.op_type in MOVING:
        before = made.get(before.input[0])
    return before is not None and before.op_type == "Softmax"
