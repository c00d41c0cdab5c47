"""ONNX graphs with fixed shapes to graphs of a LiteRT file."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert import (
    integers,
    patterns,
    rules_elementwise,
    rules_integers,
    rules_moves,
    rules_pools,
    rules_products,
    rules_sums,
    rules_windows,
)
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.lowering import Lowering, Node, Rule, Value, in_memory
from edgesam_engines.ptq.gelu import gelus
from edgesam_rt.types import AnyArray

RULES: dict[str, Rule] = {
    **rules_elementwise.RULES,
    **rules_integers.RULES,
    **rules_moves.RULES,
    **rules_pools.RULES,
    **rules_products.RULES,
    **rules_sums.RULES,
    **rules_windows.RULES,
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
    nodes = patterns.with_gelus(nodes, gelus(model))
    outputs = [o.name for o in model.graph.output]
    nodes = patterns.with_activations(nodes, constants, outputs)
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
