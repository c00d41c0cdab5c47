"""Rules for operations that move values: shapes, orders, parts, joins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.lowering import (
    Lowering,
    Node,
    Rule,
    Value,
    axis_of,
    common_order,
    in_memory,
)
from edgesam_rt.types import AnyArray


def _transpose(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    moves = node.wholes("perm", tuple(reversed(range(len(value.shape)))))
    shape = tuple(value.shape[a] for a in moves)
    to.put(node.outputs[0], Value(value.tensor, shape, tuple(moves.index(a) for a in value.order)))


def _reshape(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    wanted = to.known(node.inputs[1]).tolist()
    shape = [value.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in shape:
        rest = math.prod(n for n in shape if n != -1)
        shape[shape.index(-1)] = math.prod(value.shape) // rest
    _reshaped(to, value, shape, node.outputs[0])


def _squeeze(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    axes = {axis_of(a, value.shape) for a in to.known(node.inputs[1]).tolist()}
    _reshaped(to, value, [n for a, n in enumerate(value.shape) if a not in axes], node.outputs[0])


def _unsqueeze(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    added = to.known(node.inputs[1]).tolist()
    rank = len(value.shape) + len(added)
    axes, rest = {a % rank for a in added}, iter(value.shape)
    _reshaped(to, value, [1 if a in axes else next(rest) for a in range(rank)], node.outputs[0])


def _reshaped(to: Lowering, value: Value, shape: Sequence[int], name: str) -> None:
    """Another shape; memory that lies as ONNX has it, or only wins or loses axes of 1, stays."""
    inner = [n for n in value.shape if n > 1]
    tensor, order = value.tensor, in_memory(shape)
    if value.order != in_memory(value.shape):
        if inner == [n for n in shape if n > 1]:
            places = dict(zip(in_memory(value.shape), order, strict=True))
            order = tuple(places[axis] for axis in value.order)
        else:
            tensor = to.flat(value, shape)
    to.put(name, Value(tensor, tuple(shape), order))


def _identity(to: Lowering, node: Node) -> None:
    to.put(node.outputs[0], to.value(node.inputs[0]))


def _concat(to: Lowering, node: Node) -> None:
    values = [to.value(n) for n in node.inputs]
    axis = axis_of(node.whole("axis"), values[0].shape)
    shape = list(values[0].shape)
    shape[axis] = sum(v.shape[axis] for v in values)
    order = common_order(values, shape)
    made = to.emit(
        "CONCATENATION",
        [to.laid(v, order) for v in values],
        node.outputs[0],
        [shape[a] for a in order],
        quant=to.quants.get(node.outputs[0]),
        axis=order.index(axis),
    )
    to.put(node.outputs[0], Value(made, tuple(shape), tuple(order)))


def _split(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    start = 0
    for name, length in zip(node.outputs, to.known(node.inputs[1]).tolist(), strict=True):
        _part(to, value, node.whole("axis"), start, length, name)
        start += length


def _slice(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    starts, ends, axes, *steps = (to.known(n).tolist() for n in node.inputs[1:])
    if len(axes) != 1 or steps not in ([], [[1]]):
        raise TranslationError(f"{node.name}: only slices of one axis, without steps.")
    start, end, _ = slice(starts[0], ends[0]).indices(value.shape[axes[0]])
    _part(to, value, axes[0], start, end - start, node.outputs[0])


def _flatten(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    at = node.whole("axis", 1) % (len(value.shape) + 1)
    shape = [math.prod(value.shape[:at]), math.prod(value.shape[at:])]
    _reshaped(to, value, shape, node.outputs[0])


def _part(to: Lowering, value: Value, axis: int, start: int, length: int, name: str) -> None:
    """A part of one axis; the other axes are taken together, so that few are left."""
    axis = axis_of(axis, value.shape)
    shape = tuple(length if a == axis else n for a, n in enumerate(value.shape))
    if length == value.shape[axis]:
        to.put(name, value)
        return
    at = value.order.index(axis)
    before = math.prod(value.shape[a] for a in value.order[:at])
    behind = math.prod(value.shape[a] for a in value.order[at + 1 :])
    source = to.reshaped(value.tensor, [before, value.shape[axis], behind])
    begin = to.graph.constant(f"{name}/begin", np.array([0, start, 0], np.int32))
    size = to.graph.constant(f"{name}/size", np.array([before, length, behind], np.int32))
    dtype = to.graph.dtype(source)
    made = to.emit(
        "SLICE",
        [source, begin, size],
        name,
        [before, length, behind],
        dtype=dtype,
        quant=to.graph.quant(source),
    )
    to.put(name, Value(made, shape, tuple(a for a in value.order if shape[a] > 1)))


def _gather(to: Lowering, node: Node) -> None:
    """Rows of a table by numbers that are computed, or one fixed entry of an axis."""
    source, name = to.value(node.inputs[0]), node.outputs[0]
    axis = axis_of(node.whole("axis"), source.shape)
    if node.inputs[1] in to.constants:
        wanted = to.known(node.inputs[1])
        if wanted.ndim:
            raise TranslationError(
                f"{node.name}: fixed numbers to gather are translated one by one."
            )
        at = int(wanted) % source.shape[axis]
        _part(to, source, axis, at, 1, f"{name}/part")
        shape = [n for a, n in enumerate(source.shape) if a != axis]
        _reshaped(to, to.value(f"{name}/part"), shape, name)
        return
    if axis:
        raise TranslationError(f"{node.name}: only rows are gathered by computed numbers.")
    rows = to.value(node.inputs[1])
    width = math.prod(source.shape[1:])
    inputs = [to.flat(source, [source.shape[0], width]), to.flat(rows, [math.prod(rows.shape)])]
    made = to.emit("GATHER", inputs, name, [math.prod(rows.shape), width])
    shape = [*rows.shape, *source.shape[1:]]
    to.put(name, Value(made, tuple(shape), in_memory(shape)))


def _pad(to: Lowering, node: Node) -> None:
    """One number around; `pads` are all beginnings, then all ends."""
    mode = node.attributes.get("mode", b"constant")
    if mode != b"constant":
        raise TranslationError(f"{node.name}: padding of kind {mode!r}, only numbers are put in.")
    value, name = to.value(node.inputs[0]), node.outputs[0]
    amounts = to.known(node.inputs[1]).reshape(2, -1).T.astype(np.int32)
    filled_with = None
    if len(node.inputs) > 2 and node.inputs[2]:
        filled_with, quant = to.known(node.inputs[2]), to.quants.get(node.inputs[2])
        if quant is not None and float(filled_with) == quant.zero.item():
            filled_with = None
    to.put(name, padded(to, value, amounts, name, filled_with))


def padded(
    to: Lowering, value: Value, amounts: AnyArray, name: str, filled_with: AnyArray | None = None
) -> Value:
    """A value with more around it.

    Args:
        to: where.
        value: what.
        amounts: (rank, 2) int32, how much before and behind along every axis.
        name: of the result.
        filled_with: one number, in the value's integers if it has such; None is zero.
    """
    order = _with_ones(value)
    shape = [n + int(a.sum()) for n, a in zip(value.shape, amounts, strict=True)]
    argument = to.graph.constant(f"{name}/amounts", amounts[order])
    inputs = [to.laid(value, order), argument]
    code = "PAD"
    quant = to.graph.quant(value.tensor)
    if filled_with is not None and (quant or float(filled_with)):
        code = "PADV2"
        inputs.append(to.graph.constant(f"{name}/number", filled_with.reshape(1), quant))
    made = to.emit(code, inputs, name, [shape[a] for a in order], quant=quant)
    return Value(made, tuple(shape), tuple(a for a in order if shape[a] > 1))


def _with_ones(value: Value) -> list[int]:
    """All axes as they lie in memory, those of 1 behind the axis before them."""
    order = list(value.order)
    for axis, n in enumerate(value.shape):
        if n == 1:
            order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    return order


RULES: dict[str, Rule] = {
    "Concat": _concat,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
