from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgesam_engines import calibrate
from edgesam_engines.ptq.graphs import Feeds
from edgesam_engines.quantize import float_operations, to_qdq
from edgesam_rt.bundle import Bundle
from edgesam_rt.types import F32, AnyArray
from tests.engines.graph_doubles import between, count, make_graph, noise, optimised, run

INTEGER_CONV = "QLinearConv"


@pytest.fixture(scope="module", params=[0, 1], ids=["large side", "small side"])
def shipped(request: pytest.FixtureRequest, default_bundle: Bundle) -> ModelProto:
    """An encoder of the bundle that ships, as its file has it."""
    side = default_bundle.sides("onnxruntime")[request.param]
    return onnx.load(default_bundle.path(default_bundle.engine("encoder", "onnxruntime", side)))


@pytest.fixture(scope="module")
def as_run(shipped: ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    """The same as ONNX Runtime runs it."""
    return optimised(shipped, tmp_path_factory.mktemp("optimised"))


# The encoders that ship


def test_every_convolution_computes_in_integers(shipped: ModelProto, as_run: ModelProto) -> None:
    assert count(shipped, "Conv") > 50
    assert count(as_run, INTEGER_CONV) == count(shipped, "Conv")


def test_no_convolution_computes_in_float(as_run: ModelProto) -> None:
    assert {"Conv", "FusedConv"}.isdisjoint(float_operations(as_run))


def test_nothing_between_two_convolutions_computes_in_float(as_run: ModelProto) -> None:
    """Each float op there costs a round trip; the mean over a whole map alone is too small to."""
    inner = ModelProto()
    inner.graph.node.extend(between(as_run, INTEGER_CONV))
    assert float_operations(inner) == {}


def test_weights_are_int8_with_a_scale_per_channel_and_no_offset(shipped: ModelProto) -> None:
    values = {i.name: i for i in shipped.graph.initializer}
    made = {n.output[0]: n for n in shipped.graph.node if n.op_type == "DequantizeLinear"}
    for conv in (n for n in shipped.graph.node if n.op_type == "Conv"):
        weight, scale, zero = (values[name] for name in made[conv.input[1]].input)
        assert weight.data_type == TensorProto.INT8, conv.name
        assert list(scale.dims) == [weight.dims[0]], conv.name
        assert not numpy_helper.to_array(zero).any(), conv.name


def test_activations_are_uint8(shipped: ModelProto) -> None:
    values = {i.name: i for i in shipped.graph.initializer}
    for node in shipped.graph.node:
        if node.op_type == "QuantizeLinear":
            assert values[node.input[2]].data_type == TensorProto.UINT8, node.name


def test_pixels_go_into_the_first_convolution_as_they_are(as_run: ModelProto) -> None:
    makers = {name: node for node in as_run.graph.node for name in node.output}
    first = next(n for n in as_run.graph.node if n.op_type == INTEGER_CONV)
    way, name = [], first.input[0]
    while name in makers:
        way.append(makers[name].op_type)
        name = makers[name].input[0]
    assert name == as_run.graph.input[0].name
    assert set(way) <= {"Reshape", "Transpose"}


# float_operations


def test_float_work_is_counted_by_kind_and_integer_work_is_not() -> None:
    model = make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("Conv", ["x", "w"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["c"]),
            helper.make_node("Reshape", ["c", "shape"], ["y"]),
        ],
        inputs={"x": (1, 3, 5, 5)},
        outputs={"y": (1, 36)},
        values={"w": noise((4, 3, 3, 3)), "shape": np.array([1, 36], np.int64)},
    )
    assert float_operations(model) == {"Conv": 2, "Add": 1}
    model.graph.node[0].op_type = INTEGER_CONV
    assert float_operations(model) == {"Conv": 1, "Add": 1}


# to_qdq


def small_net() -> ModelProto:
    """Convolutions with what lies between them in the encoder: ReLU6, sum, doubling, reshaping."""
    values: dict[str, AnyArray] = {
        "w1": noise((8, 3, 3, 3), 1) / 5,
        "b1": noise((8,), 2),
        "w2": noise((8, 8, 1, 1), 3) / 3,
        "b2": noise((8,), 4),
        "w3": noise((4, 8, 3, 3), 5) / 8,
        "b3": noise((4,), 6),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
        "doubled": np.array([1, 8, 24, 12], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["a", "zero", "six"], ["a6"], "clip1"),
        helper.make_node("Conv", ["a6", "w2", "b2"], ["b"], "conv2"),
        helper.make_node("Add", ["a6", "b"], ["s"], "sum"),
        helper.make_node("Clip", ["s", "zero", "six"], ["s6"], "clip2"),
        helper.make_node("Concat", ["s6", "s6"], ["cc"], "double", axis=3),
        helper.make_node("Reshape", ["cc", "doubled"], ["d"], "rows"),
        helper.make_node("Conv", ["d", "w3", "b3"], ["y"], "conv3"),
        helper.make_node("Identity", ["y"], ["out"], "name"),
    ]
    return make_graph(
        nodes,
        inputs={"x": (1, 3, 12, 12)},
        outputs={"out": (1, 4, 22, 10)},
        values=values,
    )


def feeds(count: int = 8) -> list[dict[str, F32]]:
    return [{"x": noise((1, 3, 12, 12), seed)} for seed in range(count)]


def quantized(keep_float: tuple[str, ...] = ()) -> ModelProto:
    model = small_net()
    ranges = calibrate.activation_ranges(model, Feeds(feeds(), iter), "minmax")
    return to_qdq(model, ranges, keep_float)


def test_every_convolution_becomes_one_of_integers(tmp_path: Path) -> None:
    assert count(optimised(quantized(), tmp_path), INTEGER_CONV) == 3


def test_what_lies_between_convolutions_is_quantized_too(tmp_path: Path) -> None:
    assert float_operations(optimised(quantized(), tmp_path)) == {}


def test_the_quantized_graph_stays_close_to_the_float_one() -> None:
    model, small = small_net(), quantized()
    for x in feeds():
        (exact,), (got,) = run(model, **x), run(small, **x)
        assert np.abs(got - exact).max() < 0.05 * (exact.max() - exact.min())
        assert np.corrcoef(got.ravel(), exact.ravel())[0, 1] > 0.995


def test_a_tensor_that_must_stay_float_keeps_its_operation(tmp_path: Path) -> None:
    kept = optimised(quantized(keep_float=("y",)), tmp_path)
    assert count(kept, INTEGER_CONV) == 2
    assert count(kept, "Conv") + count(kept, "FusedConv") == 1


def test_the_float_graph_is_left_as_it_is() -> None:
    model = small_net()
    before = model.SerializeToString()
    to_qdq(model, calibrate.activation_ranges(model, Feeds(feeds(), iter), "minmax"))
    assert model.SerializeToString() == before


def test_the_same_graph_and_ranges_give_the_same_bytes() -> None:
    one, two = (quantized().SerializeToString(deterministic=True) for _ in range(2))
    assert one == two
