"""Edits of Q/DQ graphs after which values are moved as bytes, and made floats at the very end.

Quantizers wrap every operation in DequantizeLinear and QuantizeLinear, also those that only move
values. The runtime takes most of these pairs away again, but not all, and never those before an
output. No edit changes a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgesam_rt.types import F32, U8, AnyArray

MOVES = {"Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_LARGEST = 255
_NEAR_INTEGER = 1e-3


def move_bytes(model: onnx.ModelProto) -> None:
    """Let operations that only move values between two equal scales do so on bytes, in place."""
    graph = model.graph
    values = _constants(model)
    made, read = _makers(model), _readers(model)
    outputs = {o.name for o in graph.output}
    for node in list(graph.node):
        before, behind = made.get(node.input[0]), read.get(node.output[0], [])
        if node.op_type not in MOVES or before is None or before.op_type != "DequantizeLinear":
            continue
        if node.output[0] in outputs or [n.op_type for n in behind] != ["QuantizeLinear"]:
            continue
        if not all(
            np.array_equal(values[a], values[b])
            for a, b in zip(before.input[1:], behind[0].input[1:], strict=True)
        ):
            continue
        _forget_type(model, node.output[0])
        node.input[0] = before.input[0]
        node.output[0] = behind[0].output[0]
        graph.node.remove(behind[0])
        made[node.output[0]] = node
    _drop_unread(model, "DequantizeLinear")


def join_bytes(model: onnx.ModelProto) -> None:
    """Turn Concats of a dequantized map and constants that are outputs into ones of bytes.

    In place. The result is dequantized with one scale per entry of the axis. Only constants that 8
    bits hold exactly (whole multiples of one number per entry, such as cell centres of up to 128
    cells, or ones) are taken; a Concat with others is left as it is.
    """
    graph = model.graph
    outputs = {o.name: o for o in graph.output}
    for node in list(graph.node):
        if node.op_type != "Concat" or node.output[0] not in outputs:
            continue
        shape = outputs[node.output[0]].type.tensor_type.shape
        parts = _parts(model, node, shape.dim[_axis(node)].dim_value)
        if parts is None:
            continue
        place = list(graph.node).index(node)
        names = []
        for i, part in enumerate(parts):
            names.append(part.source or f"{node.name}/bytes_{i}")
            if part.data is not None:
                graph.initializer.append(numpy_helper.from_array(part.data, names[-1]))
        joined, scale, zero = (f"{node.output[0]}/{w}" for w in ("bytes", "scale", "zero_point"))
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.concatenate([p.scales for p in parts]), scale),
                numpy_helper.from_array(np.concatenate([p.zeros for p in parts]), zero),
            ]
        )
        axis = _axis(node)
        graph.node.remove(node)
        new = [
            helper.make_node("Concat", names, [joined], node.name, axis=axis),
            helper.make_node(
                "DequantizeLinear",
                [joined, scale, zero],
                [node.output[0]],
                f"{node.name}/to_float",
                axis=axis,
            ),
        ]
        for i, made in enumerate(new):
            graph.node.insert(place + i, made)
        _drop_unread_constants(model, node.input)
    _drop_unread(model, "DequantizeLinear")


class _Part:
    """One input of a Concat as bytes: the tensor that has them, or the bytes themselves."""

    def __init__(self, source: str, data: U8 | None, scales: F32, zeros: U8) -> None:
        self.source, self.data, self.scales, self.zeros = source, data, scales, zeros


def _parts(model: onnx.ModelProto, node: onnx.NodeProto, entries: int) -> list[_Part] | None:
    """Its inputs in order, if they are one map and constants; `entries` is the axis's length."""
    values, made, axis = _constants(model), _makers(model), _axis(node)
    maps = [name for name in node.input if name not in values]
    if len(maps) != 1:
        return None
    of_map = entries - sum(values[n].shape[axis] for n in node.input if n in values)
    parts = []
    for name in node.input:
        part = (
            _constant_part(values[name], axis)
            if name in values
            else _map_part(made.get(name), values, of_map)
        )
        if part is None:
            return None
        parts.append(part)
    return parts


def _map_part(
    maker: onnx.NodeProto | None, values: Mapping[str, AnyArray], entries: int
) -> _Part | None:
    if maker is None or maker.op_type != "DequantizeLinear" or entries < 1:
        return None
    scale, zero = (values[name] for name in maker.input[1:])
    if scale.size != 1 or zero.dtype != np.uint8:
        return None
    return _Part(
        maker.input[0],
        None,
        np.full(entries, scale, np.float32),
        np.full(entries, zero, np.uint8),
    )


def _constant_part(constant: AnyArray, axis: int) -> _Part | None:
    """Each entry of the axis as whole multiples, up to 255, of its smallest value."""
    rows = np.moveaxis(constant.astype(np.float64), axis, 0)
    flat = rows.reshape(len(rows), -1)
    scales = flat.min(1, keepdims=True)
    if np.any(scales <= 0):
        return None
    multiples = flat / scales
    whole = np.round(multiples)
    if np.any(np.abs(multiples - whole) > _NEAR_INTEGER) or np.any(whole > _LARGEST):
        return None
    data = np.ascontiguousarray(np.moveaxis(whole.reshape(rows.shape), 0, axis), np.uint8)
    return _Part("", data, scales[:, 0].astype(np.float32), np.zeros(len(rows), np.uint8))


def _axis(node: onnx.NodeProto) -> int:
    return next(int(a.i) for a in node.attribute if a.name == "axis")


def _constants(model: onnx.ModelProto) -> dict[str, AnyArray]:
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def _readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _forget_type(model: onnx.ModelProto, *names: str) -> None:
    info = model.graph.value_info
    for value in [v for v in info if v.name in names]:
        info.remove(value)


def _drop_unread(model: onnx.ModelProto, kind: str) -> None:
    read = {*_readers(model), *(o.name for o in model.graph.output)}
    for node in list(model.graph.node):
        if node.op_type == kind and read.isdisjoint(node.output):
            _forget_type(model, *node.output)
            model.graph.node.remove(node)


def _drop_unread_constants(model: onnx.ModelProto, names: Iterable[str]) -> None:
    gone = {*names} - {*_readers(model)}
    for constant in [i for i in model.graph.initializer if i.name in gone]:
        model.graph.initializer.remove(constant)
