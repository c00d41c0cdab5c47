"""Which nodes of a graph are attention."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from onnx import helper

from edgesam_engines.ptq.attention import attention_nodes
from tests.engines.graph_doubles import make_graph


def test_softmax_its_products_and_what_lies_between_are_attention() -> None:
    rows = [
        ("MatMul", ["x", "w"], "q"),
        ("MatMul", ["x", "w"], "v"),
        ("Transpose", ["q"], "k"),
        ("MatMul", ["q", "k"], "raw"),
        ("Add", ["raw", "bias"], "scores"),
        ("Softmax", ["scores"], "weights"),
        ("MatMul", ["weights", "v"], "seen"),
        ("MatMul", ["seen", "w"], "y"),
    ]
    model = make_graph(
        [helper.make_node(op, given, [made], made) for op, given, made in rows],
        inputs={"x": (4, 4)},
        outputs={"y": (4, 4)},
        values={"w": np.eye(4, dtype=np.float32), "bias": np.ones((4, 4), np.float32)},
    )
    assert attention_nodes(model) == ["raw", "scores", "seen", "weights"]


def test_a_graph_without_softmax_has_none() -> None:
    model = make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "y")],
        inputs={"x": (1, 3)},
        outputs={"y": (1, 3)},
        values={},
    )
    assert attention_nodes(model) == []
