"""ONNX graphs with fixed shapes to graphs of a LiteRT file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert import (
    integers,
    rules_elementwise,
    rules_moves,
    rules_products,
    rules_sums,
    rules_windows,
)
from edgesam_engines.litert.flatbuffer import File, Quant
from edgesam_engines.litert.lowering import FUSED, Lowering, Node, Rule, Value, in_memory
from edgesam_engines.ptq.gelu import Gelu, gelus
from edgesam_rt.types import AnyArray


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
    rules_elementwise.together(to, "MUL", [value, factor], name)


RULES: dict[str, Rule] = {
    **rules_elementwise.RULES,
    **rules_moves.RULES,
    **rules_products.RULES,
    **rules_sums.RULES,
    **rules_windows.RULES,
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    integers.REREAD: _reread,
}
_DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.UINT8: "uint8",
}


def add_graph(file: File, model: onnx.ModelProto, name: str) -> None:
    """Add an ONNX graph to a LiteRT file, as signature `name`.

    Args:
        file: to add to.
        model: fixed shapes, constants folded; in float, or with Q/DQ: then integers stay integers.
        name: of the signature; its inputs and outputs go by their ONNX names.

    Raises:
        TranslationError: it has an operation, or a use of one, that no rule knows.
    """
    constants = _constants(model)
    nodes = [Node.of(n) for n in model.graph.node if n.op_type != "Constant"]
    nodes = _with_gelus(nodes, gelus(model))
    outputs = [o.name for o in model.graph.output]
    nodes = _with_activations(nodes, constants, outputs)
    found = integers.read(nodes, constants, set(outputs))
    graph = file.graph(name)
    to = Lowering(graph, found.constants, found.quants)
    inputs = {}
    for value in model.graph.input:
        shape = _shape(value)
        quant = found.quants.get(value.name)
        dtype = "int8" if quant else _DTYPES[value.type.tensor_type.elem_type]
        inputs[value.name] = graph.tensor(value.name, shape, dtype, quant)
        to.put(value.name, Value(inputs[value.name], shape, in_memory(shape)))
    for node in found.nodes:
        _translate(to, node)
    file.sign(graph, inputs, {n: to.flat(to.value(n)) for n in outputs})


def _translate(to: Lowering, node: Node) -> None:
    if node.kind not in RULES:
        raise TranslationError(
            f"{node.name}: no rule for {node.kind}. Add one to engines/edgesam_engines/litert/."
        )
    RULES[node.kind](to, node)


def _constants(model: onnx.ModelProto) -> dict[str, AnyArray]:
    found = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = value.type.tensor_type.shape.dim
    if any(d.dim_param for d in dims):
        raise TranslationError(f"{value.name!r} has a free axis; LiteRT graphs have fixed shapes.")
    return tuple(d.dim_value for d in dims)


def _with_gelus(nodes: Sequence[Node], found: Sequence[Gelu]) -> list[Node]:
    """Put one node in the place of those that spell a GELU out."""
    last = {gelu.output: gelu for gelu in found}
    spelled = {name for gelu in found for name in gelu.nodes}
    made = []
    for node in nodes:
        gelu = last.get(node.outputs[0])
        if gelu is not None:
            made.append(Node("Gelu", node.name, (gelu.source,), node.outputs, {}))
        elif node.name not in spelled:
            made.append(node)
    return made


def _with_activations(
    nodes: Sequence[Node], constants: dict[str, AnyArray], outputs: Sequence[str]
) -> list[Node]:
    """Put a Relu or a Clip to [0, 6] into the operation in front that only it reads."""
    read = Counter(name for node in nodes for name in node.inputs)
    read.update(outputs)
    made: dict[str, int] = {}
    kept: list[Node] = []
    for node in nodes:
        at = made.get(node.inputs[0]) if node.inputs else None
        fused = _activation(node, constants)
        if at is not None and fused and read[node.inputs[0]] == 1:
            with_it = {**kept[at].attributes, FUSED: fused}
            kept[at] = replace(kept[at], outputs=node.outputs, attributes=with_it)
            continue
        kept.append(node)
        if node.kind in ("Add", "Conv", "Gemm"):
            made[node.outputs[0]] = len(kept) - 1
    return kept


def _activation(node: Node, constants: dict[str, AnyArray]) -> str:
    """What LiteRT calls an activation that an operation can apply itself; else empty."""
    if node.kind == "Relu":
        return "RELU"
    limits = [constants.get(name) for name in node.inputs[1:]]
    if node.kind == "Clip" and len(limits) == 2:
        low, high = limits
        if low is not None and high is not None and (float(low), float(high)) == (0, 6):
            return "RELU6"
    return ""
