"""Rules for reductions and what is made of them: softmax, layer norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgesam_engines.litert.lowering import (
    Lowering,
    Node,
    Rule,
    Value,
    axis_of,
    in_memory,
    with_last,
)
from edgesam_engines.litert.rules_elementwise import together

_REDUCE = {"ReduceMax": "REDUCE_MAX", "ReduceMean": "MEAN", "ReduceSum": "SUM"}


def _reduce(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    axes = node.wholes("axes")
    if not axes:
        axes = tuple(to.known(node.inputs[1]).tolist())
    reduced(
        to, _REDUCE[node.kind], value, axes, node.outputs[0], keep=bool(node.whole("keepdims", 1))
    )


def reduced(
    to: Lowering, code: str, value: Value, axes: Sequence[int], name: str, *, keep: bool
) -> Value:
    """Reduce some axes of a value, as value `name`."""
    gone = {axis_of(a, value.shape) for a in axes}
    rest = [a for a in value.order if a not in gone]
    places = np.array([i for i, a in enumerate(value.order) if a in gone], np.int32)
    source = to.reshaped(value.tensor, [value.shape[a] for a in value.order])
    argument = to.graph.constant(f"{name}/axes", places)
    shape = [value.shape[a] for a in rest]
    made = to.emit(code, [source, argument], name, shape, quant=to.quants.get(name), keepDims=False)
    kept = [a for a in range(len(value.shape)) if keep or a not in gone]
    outer = tuple(1 if a in gone else value.shape[a] for a in kept)
    result = Value(made, outer, tuple(kept.index(a) for a in rest))
    to.put(name, result)
    return result


def _softmax(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    order = with_last(value, node.whole("axis", -1))
    width = value.shape[order[-1]]
    rows = [math.prod(value.shape) // width, width]
    made = to.emit("SOFTMAX", [to.laid(value, order, rows)], name, rows, beta=1.0)
    to.put(name, Value(made, value.shape, tuple(a for a in order if value.shape[a] > 1)))


def _layer_norm(to: Lowering, node: Node) -> None:
    """LiteRT has none: by its definition, over the last axis."""
    name, value = node.outputs[0], to.value(node.inputs[0])
    epsilon = to.graph.constant(
        f"{name}/epsilon", np.array(node.attributes.get("epsilon", 1e-5), np.float32)
    )
    mean = reduced(to, "MEAN", value, [-1], f"{name}/mean", keep=True)
    centred = together(to, "SUB", [value, mean], f"{name}/centred")
    squared = together(to, "MUL", [centred, centred], f"{name}/squared")
    variance = reduced(to, "MEAN", squared, [-1], f"{name}/variance", keep=True)
    safe = together(to, "ADD", [variance, Value(epsilon, (), ())], f"{name}/safe")
    root = to.emit("RSQRT", [safe.tensor], f"{name}/root", to.graph.shape(safe.tensor))
    scaled = together(to, "MUL", [centred, Value(root, safe.shape, safe.order)], f"{name}/scaled")
    weighed = together(to, "MUL", [scaled, to.value(node.inputs[1])], f"{name}/weighed")
    together(to, "ADD", [weighed, to.value(node.inputs[2])], name)


def _running_sum(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    axis = to.graph.constant(f"{name}/axis", to.known(node.inputs[1]).astype(np.int32))
    made = to.emit("CUMSUM", [to.flat(value), axis], name, value.shape)
    to.put(name, Value(made, value.shape, in_memory(value.shape)))


RULES: dict[str, Rule] = {
    **dict.fromkeys(_REDUCE, _reduce),
    "CumSum": _running_sum,
    "LayerNormalization": _layer_norm,
    "Softmax": _softmax,
}
