"""What the factory gives to TensorRT: the parser's rules, and no value changed on the way."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch", reason="the factory needs torch")

from edgesam_engines import graph_edits, tensorrt_graphs
from edgesam_engines.ptq.apply import Quantized, Source, maker_of
from edgesam_engines.ptq.graphs import Feeds, session
from edgesam_engines.recipe import Calibration, Quantization
from edgesam_rt import bundle as bundles
from edgesam_rt.manifest import Preprocess
from edgesam_rt.types import AnyArray
from tests.engines.tensorrt_rules import check_operators, check_quantized, constants

pytestmark = pytest.mark.torch

SIDE = 16
PREPROCESS = Preprocess(
    resize="longest_side",
    colour="rgb",
    mean=(127.0,) * 3,
    std=(128.0,) * 3,
    pad_value=127,
    pad_order="before_normalising",
    input_dtype="uint8",
    layout="nhwc",
    normalised_in_engine=True,
)


def small_net() -> onnx.ModelProto:
    """Two convolutions with a ReLU6 and a sum: what an encoder is made of."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, channels: int) -> onnx.NodeProto:
        weight = rng.normal(0, 0.3, (8, channels, 3, 3)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"{name}_w"))
        constants.append(
            numpy_helper.from_array(rng.normal(0, 0.1, 8).astype(np.float32), f"{name}_b")
        )
        return helper.make_node(
            "Conv", [source, f"{name}_w", f"{name}_b"], [name], name, pads=[1, 1, 1, 1]
        )

    constants = [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "low"), (6, "high"))]
    nodes = [
        conv("first", "x", 3),
        helper.make_node("Clip", ["first", "low", "high"], ["cut"], "relu6"),
        conv("second", "cut", 8),
        helper.make_node("Add", ["second", "cut"], ["y"], "sum"),
    ]
    shape = [1, 8, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


@pytest.fixture(scope="module")
def pictures() -> list[AnyArray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (1, SIDE, SIDE, 3), np.uint8) for _ in range(4)]


@pytest.fixture(scope="module")
def made(pictures: list[AnyArray]) -> Quantized:
    """The net as it is quantized for ONNX Runtime."""

    def feeds(items: object) -> object:
        for picture in items:  # type: ignore[attr-defined]
            yield {"x": ((picture.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)}

    known = {"x": ((0 - 127) / 128, (255 - 127) / 128)}
    source = Source(small_net(), Feeds(pictures, feeds), known=known)  # type: ignore[arg-type]
    maker = maker_of(source, Calibration(), Quantization(bias_correction=True))
    return Quantized(maker.make(), {"float_layers": []}, maker)


@pytest.fixture(scope="module")
def graph(made: Quantized) -> onnx.ModelProto:
    """The net as TensorRT gets it."""
    return tensorrt_graphs.symmetric_encoder(made, PREPROCESS)


def run(model: onnx.ModelProto, feed: dict[str, AnyArray]) -> AnyArray:
    (values,) = session(model).run(["y"], feed)
    return np.asarray(values)


def test_the_graph_keeps_the_parsers_rules(graph: onnx.ModelProto) -> None:
    check_operators(graph)
    check_quantized(graph)


def test_no_pair_stands_between_a_layer_and_its_activation(graph: onnx.ModelProto) -> None:
    makers = {name: node for node in graph.graph.node for name in node.output}
    (clip,) = (n for n in graph.graph.node if n.op_type == "Clip")
    assert makers[clip.input[0]].op_type == "Conv"


def test_its_answers_are_as_near_to_the_float_nets_as_eight_bits_allow(
    graph: onnx.ModelProto, pictures: list[AnyArray]
) -> None:
    for picture in pictures:
        x = ((picture.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
        exact = run(small_net(), {"x": x})
        rounded = run(graph, {graph_edits.PIXELS: picture})
        noise = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
        assert 1e-4 < noise < 0.05


def test_making_constants_floats_changes_no_value(made: Quantized) -> None:
    assert made.maker is not None
    before = made.maker.as_symmetric().make()
    after = onnx.ModelProto.FromString(before.SerializeToString())
    tensorrt_graphs.float_constants(after)
    x = np.random.default_rng(2).normal(0, 0.5, (1, 3, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_allclose(run(after, {"x": x}), run(before, {"x": x}), atol=1e-5)


def test_every_grey_level_but_the_last_is_a_step_of_its_own(graph: onnx.ModelProto) -> None:
    values = constants(graph)
    first = next(
        n for n in graph.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in values
    )
    scale = float(values[first.input[1]])
    levels = np.clip(np.round((np.arange(256) - 127) / 128 / scale), -128, 127)
    assert len(set(levels.tolist())) == 255


def test_the_graph_for_onnx_runtime_is_left_as_it_was(made: Quantized) -> None:
    assert made.maker is not None
    before = made.maker.make().SerializeToString()
    tensorrt_graphs.symmetric_encoder(made, PREPROCESS)
    assert made.maker.make().SerializeToString() == before


def test_squares_of_whole_numbers_become_products() -> None:
    two = numpy_helper.from_array(np.array(2, np.int64), "two")
    graph = helper.make_graph(
        [helper.make_node("Pow", ["x", "two"], ["y"])],
        "square",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [3])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [3])],
        [two],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph_edits.square_by_multiplying(model)
    assert [n.op_type for n in model.graph.node] == ["Mul"]
    assert run(model, {"x": np.array([-3, 0, 4])}).tolist() == [9, 0, 16]


def test_the_shipped_graphs_for_tensorrt_keep_the_parsers_rules() -> None:
    bundle = bundles.find(None)
    rows = [e for e in bundle.manifest.engines if e.backend == "tensorrt"]
    if not rows:
        pytest.skip("the bundle that ships has no graphs for TensorRT yet")
    for entry in rows:
        model = onnx.load(bundle.path(entry))
        check_operators(model)
        if entry.part == "encoder":
            check_quantized(model)
