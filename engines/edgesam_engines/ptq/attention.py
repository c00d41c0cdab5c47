"""What of a graph is attention: it stays float.

ONNX Runtime's integer softmax takes four times as long as its float one, its integer products of
two computed matrices are no faster than float ones at the 32 columns of a head, and eight bits
over [0, 1] lose most of what a softmax says. The layers around it are worth integers, it is not.
"""

from __future__ import annotations

import onnx

from edgesam_engines.ptq.graphs import constants, makers, readers

# Between a product and a softmax, or a softmax and a product: sums and what only moves values.
_BETWEEN = {"Add", "Div", "Mul", "Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Flatten"}


def attention_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of every attention: its softmax, both products, and what lies between."""
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Softmax":
            found |= {node.name} | _before(model, node) | _behind(model, node)
    return sorted(found)


def _before(model: onnx.ModelProto, softmax: onnx.NodeProto) -> set[str]:
    """What makes its scores, back to the products."""
    made, found = makers(model), set[str]()
    waiting = list(softmax.input)
    while waiting:
        node = made.get(waiting.pop())
        if node is None or node.name in found:
            continue
        if node.op_type == "MatMul":
            found.add(node.name)
        elif node.op_type in _BETWEEN:
            found.add(node.name)
            waiting += node.input
    return found


def _behind(model: onnx.ModelProto, softmax: onnx.NodeProto) -> set[str]:
    """What takes its weights, on to the product with the values."""
    read, known, found = readers(model), constants(model), set[str]()
    waiting = list(softmax.output)
    while waiting:
        for node in read.get(waiting.pop(), []):
            if node.op_type == "MatMul" and not any(name in known for name in node.input):
                found.add(node.name)
            elif node.op_type in _BETWEEN:
                found.add(node.name)
                waiting += node.output
    return found
