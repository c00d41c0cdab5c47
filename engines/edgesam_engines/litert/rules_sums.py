"""Rules for matrix products, reductions and what is made of them (softmax, layer norm)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value, axis_of, in_memory
from edgesam_engines.litert.rules_elementwise import together
from edgesam_rt.types import AnyArray

_REDUCE = {"ReduceMax": "REDUCE_MAX", "ReduceMean": "MEAN", "ReduceSum": "SUM"}


def _matmul(to: Lowering, node: Node) -> None:
    left, right = node.inputs
    if right in to.constants and to.constants[right].ndim == 2:
        _linear(to, node, to.known(right).T, None)
        return
    _product(to, to.value(left), to.value(right), node.outputs[0])


def _gemm(to: Lowering, node: Node) -> None:
    if node.whole("transA") or node.attributes.get("alpha", 1.0) != 1.0:
        raise TranslationError(f"{node.name}: only plain linear layers.")
    weight = to.known(node.inputs[1])
    bias = to.known(node.inputs[2]) if len(node.inputs) > 2 else None
    _linear(to, node, weight if node.whole("transB") else weight.T, bias)


def _linear(to: Lowering, node: Node, weight: AnyArray, bias: AnyArray | None) -> None:
    """A linear layer on the last axis; weight (out, in)."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    rows = math.prod(value.shape[:-1])
    inputs = [to.flat(value, [rows, value.shape[-1]])]
    inputs.append(to.graph.constant(f"{name}/weight", np.ascontiguousarray(weight)))
    inputs.append(-1 if bias is None else to.graph.constant(f"{name}/bias", bias))
    made = to.emit(
        "FULLY_CONNECTED",
        inputs,
        name,
        [rows, len(weight)],
        fusedActivationFunction=node.activation,
    )
    shape = (*value.shape[:-1], len(weight))
    to.put(name, Value(made, shape, in_memory(shape)))


def _product(to: Lowering, left: Value, right: Value, name: str) -> None:
    """Products of computed matrices; one on the right may serve all on the left."""
    batch, ones = math.prod(left.shape[:-2]), math.prod(right.shape[:-2])
    rows, inner = left.shape[-2:]
    columns = right.shape[-1]
    if left.shape[:-2] != right.shape[:-2] and ones != 1:
        raise TranslationError(f"{name}: products of {left.shape} and {right.shape}.")
    last, other = len(right.shape) - 1, len(right.shape) - 2
    turned = right.order == tuple(a for a in (*range(other), last, other) if right.shape[a] > 1)
    turned = turned and right.order != in_memory(right.shape)
    if turned:
        second = to.laid(right, (*range(other), last, other), [ones, columns, inner])
    else:
        second = to.flat(right, [ones, inner, columns])
    first = to.flat(left, [batch, rows, inner])
    made = to.emit("BATCH_MATMUL", [first, second], name, [batch, rows, columns], adjY=turned)
    shape = (*left.shape[:-1], columns)
    to.put(name, Value(made, shape, in_memory(shape)))


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
    if axis_of(node.whole("axis", -1), value.shape) != len(value.shape) - 1:
        raise TranslationError(f"{node.name}: only softmax over the last axis.")
    rows = [math.prod(value.shape[:-1]), value.shape[-1]]
    made = to.emit("SOFTMAX", [to.flat(value, rows)], name, rows, beta=1.0)
    to.put(name, Value(made, value.shape, in_memory(value.shape)))


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
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Softmax": _softmax,
}
