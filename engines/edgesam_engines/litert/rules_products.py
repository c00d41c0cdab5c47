"""Rules for matrix products: linear layers, and products of computed matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.lowering import (
    Lowering,
    Node,
    Rule,
    Value,
    in_memory,
    no_bias,
    with_last,
)
from edgesam_engines.litert.rules_elementwise import widened
from edgesam_rt.types import AnyArray


def _matmul(to: Lowering, node: Node) -> None:
    left, right = node.inputs
    if right in to.constants and to.constants[right].ndim == 2:
        _linear(to, node, to.known(right).T)
        return
    _product(to, to.value(left), to.value(right), node.outputs[0])


def _gemm(to: Lowering, node: Node) -> None:
    if node.whole("transA") or node.attributes.get("alpha", 1.0) != 1.0:
        raise TranslationError(f"{node.name}: only plain linear layers.")
    weight = to.known(node.inputs[1])
    _linear(to, node, weight if node.whole("transB") else weight.T)


def _linear(to: Lowering, node: Node, weight: AnyArray) -> None:
    """A linear layer on the last axis; weight (out, in)."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    order = with_last(value, -1)
    rows = [math.prod(value.shape[:-1])]
    code, before = "FULLY_CONNECTED", rows
    options: dict[str, Any] = {}
    how = to.quants.get(node.inputs[1])
    if how is not None:  # as a convolution of 1x1: old runtimes know those with a scale per channel
        code, before, weight = "CONV_2D", [1, *rows, 1], weight[:, None, None]
        how = Quant(how.scale, how.zero)
        options = {"strideH": 1, "strideW": 1}
    made = to.emit(
        code,
        [
            to.laid(value, order, [*before, value.shape[-1]]),
            to.graph.constant(f"{name}/weight", np.ascontiguousarray(weight), how),
            _bias(to, node, len(weight)),
        ],
        name,
        [*before, len(weight)],
        quant=to.quants.get(name),
        fusedActivationFunction=node.activation,
        **options,
    )
    shape = (*value.shape[:-1], len(weight))
    to.put(name, Value(made, shape, tuple(a for a in order if shape[a] > 1)))


def _bias(to: Lowering, node: Node, channels: int) -> int:
    """Of a linear layer; integers want one, floats may go without."""
    name = f"{node.outputs[0]}/bias"
    if len(node.inputs) > 2:
        return to.graph.constant(name, to.known(node.inputs[2]), to.quants.get(node.inputs[2]))
    if node.inputs[1] in to.quants:
        return no_bias(to, node, name, channels)
    return -1


def _product(to: Lowering, left: Value, right: Value, name: str) -> None:
    """Products of computed matrices; either side may lack axes that the other has."""
    rank = max(len(left.shape), len(right.shape), 3)
    left, right = widened(left, rank), widened(right, rank)
    first, second, folded = _batches(left.shape[:-2], right.shape[:-2])
    rows, inner = folded * left.shape[-2], left.shape[-1]
    columns = right.shape[-1]
    turned = (*range(rank - 2), rank - 1, rank - 2)
    is_turned = right.order == tuple(a for a in turned if right.shape[a] > 1)
    is_turned = is_turned and right.order != in_memory(right.shape)
    if is_turned:
        other = to.laid(right, turned, [*second, columns, inner])
    else:
        other = to.flat(right, [*second, inner, columns])
    tensors = [to.flat(left, [*first, rows, inner]), other]
    outer = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    made_shape = [*np.broadcast_shapes(tuple(first), tuple(second)), rows, columns]
    made = to.emit("BATCH_MATMUL", tensors, name, made_shape, adjY=is_turned)
    shape = (*outer, left.shape[-2], columns)
    to.put(name, Value(made, shape, in_memory(shape)))


def _batches(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[list[int], list[int], int]:
    """The batch axes of two sides, as few as can be, and how many more rows the left one has.

    Axes that only the left side has are rows, as long as nothing lies between.
    """
    folded, pairs = 1, list(zip(left, right, strict=True))
    while pairs and pairs[-1][1] == 1:
        folded *= pairs.pop()[0]
    first: list[int] = []
    second: list[int] = []
    sides: tuple[bool, bool] | None = None  # which have the axes before
    for a, b in pairs:
        if a == b == 1:
            continue
        if sides == (a > 1, b > 1):
            first[-1], second[-1] = first[-1] * a, second[-1] * b
            continue
        sides = (a > 1, b > 1)
        first.append(a)
        second.append(b)
    return first or [1], second or [1], folded


RULES: dict[str, Rule] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
}
