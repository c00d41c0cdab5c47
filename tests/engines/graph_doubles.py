"""Small ONNX graphs made by hand, and what ONNX Runtime makes of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgesam_rt.types import F32, AnyArray

OPSET = 17
IR = 8  # the version that belongs to the opset


def make_graph(
    nodes: Sequence[NodeProto],
    *,
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    values: Mapping[str, AnyArray],
) -> ModelProto:
    """A float graph, checked, with shapes inferred."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model)


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def run(model: ModelProto, **feeds: AnyArray) -> list[AnyArray]:
    """Outputs of a graph."""
    session = ort.InferenceSession(
        model.SerializeToString(), _options(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def optimised(model: ModelProto, folder: Path) -> ModelProto:
    """The graph as ONNX Runtime runs it."""
    options = _options()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def count(model: ModelProto, operation: str) -> int:
    """How many nodes of a kind there are."""
    return sum(node.op_type == operation for node in model.graph.node)


def between(model: ModelProto, operation: str) -> list[NodeProto]:
    """Nodes that lie on a way from one node of a kind to another."""
    nodes = list(model.graph.node)
    behind, before = _reached(nodes, operation), _reached(nodes[::-1], operation, backwards=True)
    return [n for i, n in enumerate(nodes) if i in behind and len(nodes) - 1 - i in before]


def _reached(nodes: Sequence[NodeProto], operation: str, *, backwards: bool = False) -> set[int]:
    """Places of nodes that can be reached from a node of a kind; nodes are sorted that way."""
    tensors: set[str] = set()
    found = set()
    for i, node in enumerate(nodes):
        into, out = (node.output, node.input) if backwards else (node.input, node.output)
        if tensors.intersection(into):
            found.add(i)
            tensors.update(out)
        elif node.op_type == operation:
            tensors.update(out)
    return found


def noise(shape: Sequence[int], seed: int = 0) -> F32:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
