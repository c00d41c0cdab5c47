"""Small graphs, and what ONNX Runtime and LiteRT make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.translate import add_graph
from edgesam_rt.types import AnyArray

RNG = np.random.default_rng(0)
Arrays = Mapping[str, AnyArray]


def graph(
    nodes: Sequence[NodeProto], feeds: Arrays, constants: Arrays, outputs: Sequence[str] = ("y",)
) -> ModelProto:
    """A model that takes these feeds; the types of its outputs are left open."""
    made = helper.make_graph(
        list(nodes),
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in feeds.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_litert(model: ModelProto, feeds: Arrays) -> dict[str, AnyArray]:
    file = File("test")
    add_graph(file, model, "all")
    runner = Interpreter(model_content=file.content()).get_signature_runner("all")
    signed = {
        n: (v ^ 128).view(np.int8) if _is_quantised(model, v) else v for n, v in feeds.items()
    }
    made: dict[str, AnyArray] = runner(**signed)
    return made


def _is_quantised(model: ModelProto, values: AnyArray) -> bool:
    kinds = {n.op_type for n in model.graph.node}
    return values.dtype == np.uint8 and "DequantizeLinear" in kinds


def by_onnx_runtime(model: ModelProto, feeds: Arrays) -> dict[str, AnyArray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def check(
    nodes: Sequence[NodeProto],
    feeds: Arrays,
    constants: Arrays | None = None,
    *,
    exact: bool = False,
    step: float = 0.0,
) -> tuple[Arrays, Arrays]:
    """Compare both libraries' answers, which are returned.

    Args:
        nodes: that make "y".
        feeds: by name.
        constants: by name.
        exact: they must be the same bits.
        step: of an integer; 1 % of the results may be one step apart, where they tie.
    """
    model = graph(nodes, feeds, constants or {})
    want, got = by_onnx_runtime(model, feeds), by_litert(model, feeds)
    for name, values in want.items():
        assert got[name].shape == values.shape, name
        if exact:
            np.testing.assert_array_equal(got[name], values)
        elif step:
            apart = np.abs(got[name] - values) / step
            assert apart.max() < 1.01
            assert np.mean(apart > 0.5) < 0.01
        else:
            np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=1e-5)
    return want, got


def floats(*shape: int) -> AnyArray:
    return RNG.standard_normal(shape).astype(np.float32)


def node(kind: str, inputs: str, output: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), [output], f"{kind}_{output}", **attributes)
