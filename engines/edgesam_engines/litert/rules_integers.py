"""Rules for steps between integers and floats, and for integers that are read in two ways."""

from __future__ import annotations

import numpy as np

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.flatbuffer import Quant
from edgesam_engines.litert.integers import REREAD
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value
from edgesam_engines.litert.rules_elementwise import together


def _dequantize(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    made = to.emit("DEQUANTIZE", [value.tensor], name, to.graph.shape(value.tensor))
    to.put(name, Value(made, value.shape, value.order))


def _quantize(to: Lowering, node: Node) -> None:
    value, name = to.value(node.inputs[0]), node.outputs[0]
    shape = to.graph.shape(value.tensor)
    made = to.emit("QUANTIZE", [value.tensor], name, shape, quant=to.quants[name])
    to.put(name, Value(made, value.shape, value.order))


def _reread(to: Lowering, node: Node) -> None:
    """The same integers with another meaning: times one, whose scale is the ratio of the two."""
    value, name = to.value(node.inputs[0]), node.outputs[0]
    old, new = to.quants[node.inputs[0]], to.quants[name]
    if not np.array_equal(old.zero, new.zero):
        raise TranslationError(f"{node.name}: integers are read with two zero points.")
    one = Quant(new.scale / old.scale, np.zeros(1, np.int64))
    factor = Value(to.graph.constant(f"{name}/one", np.ones((), np.int8), one), (), ())
    together(to, "MUL", [value, factor], name)


RULES: dict[str, Rule] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    REREAD: _reread,
}
