"""Rules for operations that treat every element alike, and for their broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value, common_order
from edgesam_rt.types import F32

_ONE = {
    "Abs": "ABS",
    "Cos": "COS",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "Log": "LOG",
    "Neg": "NEG",
    "Relu": "RELU",
    "Sigmoid": "LOGISTIC",
    "Sin": "SIN",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
_TWO = {
    "Add": "ADD",
    "And": "LOGICAL_AND",
    "Div": "DIV",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Max": "MAXIMUM",
    "Min": "MINIMUM",
    "Mul": "MUL",
    "Sub": "SUB",
}
_BOOLEAN = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_CAST = {1: "float32", 6: "int32", 7: "int32", 9: "bool"}  # ONNX's type numbers; no int64 needed


def _one(to: Lowering, node: Node) -> None:
    value = to.value(node.inputs[0])
    made = to.emit(_ONE[node.kind], [value.tensor], node.outputs[0], to.graph.shape(value.tensor))
    to.put(node.outputs[0], Value(made, value.shape, value.order))


def _gelu(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    shape = to.graph.shape(value.tensor)
    is_tanh = node.attributes.get("approximate", b"none") == b"tanh"
    made = to.emit("GELU", [value.tensor], name, shape, approximate=is_tanh)
    to.put(name, Value(made, value.shape, value.order))


def _two(to: Lowering, node: Node) -> None:
    values = [to.value(name) for name in node.inputs]
    dtype = "bool" if node.kind in _BOOLEAN else None
    options = {"fusedActivationFunction": node.activation} if node.activation else {}
    together(to, _TWO[node.kind], values, node.outputs[0], dtype=dtype, **options)


def together(
    to: Lowering,
    code: str,
    values: Sequence[Value],
    name: str,
    *,
    dtype: str | None = None,
    **options: object,
) -> Value:
    """Put an operation on broadcast values into the graph, as value `name`.

    Its elements are of the `dtype`, by default that of the first value.
    """
    shape = np.broadcast_shapes(*(v.shape for v in values))
    wide = [widened(v, len(shape)) for v in values]
    order = common_order(wide, shape)
    tensors = [to.laid(v, order) for v in wide]
    made = to.emit(
        code,
        tensors,
        name,
        [shape[a] for a in order],
        dtype=dtype or to.graph.dtype(tensors[0]),
        quant=to.quants.get(name),
        **options,
    )
    value = Value(made, tuple(shape), tuple(order))
    to.put(name, value)
    return value


def _where(to: Lowering, node: Node) -> None:
    values = [to.value(name) for name in node.inputs]
    dtype = to.graph.dtype(values[1].tensor)
    together(to, "SELECT_V2", values, node.outputs[0], dtype=dtype)


def widened(value: Value, rank: int) -> Value:
    """The value with axes of 1 in front."""
    more = rank - len(value.shape)
    return Value(value.tensor, (1,) * more + value.shape, tuple(a + more for a in value.order))


def _clip(to: Lowering, node: Node) -> None:
    limits = [to.known(n) if n else None for n in (*node.inputs[1:], "", "")[:2]]
    value, name = to.value(node.inputs[0]), node.outputs[0]
    for code, limit in zip(("MAXIMUM", "MINIMUM"), limits, strict=True):
        if limit is not None:
            value = together(to, code, [value, _fixed(to, f"{name}/{code}", limit)], name)
    to.put(name, value)


def _fixed(to: Lowering, name: str, value: F32) -> Value:
    return Value(to.graph.constant(name, np.asarray(value, np.float32)), value.shape, ())


def _power(to: Lowering, node: Node) -> None:
    if float(to.known(node.inputs[1])) != 2:
        raise TranslationError(f"{node.name}: only squares are translated.")
    value = to.value(node.inputs[0])
    together(to, "MUL", [value, value], node.outputs[0])


def _cast(to: Lowering, node: Node) -> None:
    value, dtype = to.value(node.inputs[0]), _CAST[node.whole("to")]
    shape = to.graph.shape(value.tensor)
    made = to.emit("CAST", [value.tensor], node.outputs[0], shape, dtype=dtype)
    to.put(node.outputs[0], Value(made, value.shape, value.order))


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ONE, _one),
    **dict.fromkeys(_TWO, _two),
    "Cast": _cast,
    "Clip": _clip,
    "Gelu": _gelu,
    "Pow": _power,
    "Where": _where,
}
