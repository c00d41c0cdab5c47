"""Graphs that were translated for LiteRT compute what ONNX Runtime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from edgesam_engines.errors import TranslationError
from edgesam_rt.types import AnyArray

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from ai_edge_litert.interpreter import Interpreter

from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.translate import add_graph
from tests.engines.litert_doubles import (
    RNG,
    Arrays,
    by_litert,
    by_onnx_runtime,
    check,
    floats,
    graph,
    node,
)


@pytest.mark.parametrize(
    "kind", ["Abs", "Cos", "Exp", "Floor", "Neg", "Relu", "Sigmoid", "Sin", "Tanh"]
)
def test_a_function_of_every_element(kind: str) -> None:
    check([node(kind, "x")], {"x": floats(2, 3, 5)})


@pytest.mark.parametrize("kind", ["Log", "Sqrt"])
def test_a_function_of_positive_elements(kind: str) -> None:
    check([node(kind, "x")], {"x": np.abs(floats(2, 3)) + 0.1})


@pytest.mark.parametrize("kind", ["Add", "Div", "Max", "Min", "Mul", "Sub"])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((3, 1), (2, 1, 4)), ((5,), ()), ((1, 4), (4, 1))],
)
def test_two_values_are_broadcast(kind: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check([node(kind, "x z")], {"x": floats(*left), "z": np.asarray(np.abs(floats(*right)) + 0.5)})


@pytest.mark.parametrize("kind", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_a_comparison_made_numbers_again(kind: str) -> None:
    x = np.array([-1, 0, 1, 2], np.float32)
    nodes = [node(kind, "x z", "told"), node("Cast", "told", to=TensorProto.FLOAT)]
    check(nodes, {"x": x}, {"z": np.float32(1)})


@pytest.mark.parametrize("limits", ["low high", "low", " high"])
def test_limits_of_either_side(limits: str) -> None:
    inputs = ["x", *limits.split(" ")]
    made = helper.make_node("Clip", inputs, ["y"])
    known = {"low": np.float32(-0.5), "high": np.float32(0.7)}
    check([made], {"x": floats(40)}, {n: known[n] for n in limits.split(" ") if n})


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, -1, 3), (1, 4, 1, 6, 1)])
def test_another_shape_of_what_was_turned_around(shape: tuple[int, ...]) -> None:
    nodes = [node("Transpose", "x", "t", perm=[2, 0, 1]), node("Reshape", "t shape")]
    check(nodes, {"x": floats(2, 3, 4)}, {"shape": np.array(shape)})


def test_axes_of_one_come_and_go_in_what_was_turned_around() -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 1]),
        node("Unsqueeze", "a at", "b"),
        node("Transpose", "b", "c", perm=[1, 0, 3, 2]),
        node("Squeeze", "c gone", "d"),
        node("Mul", "d z"),
    ]
    constants = {"at": np.array([1]), "gone": np.array([0]), "z": floats(3, 4)}
    check(nodes, {"x": floats(2, 3, 4)}, constants)


def test_values_in_two_orders_are_added_and_joined() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0]),
        node("Add", "t z", "sum"),
        node("Concat", "sum z t", axis=1),
    ]
    check(nodes, {"x": floats(3, 4), "z": floats(4, 3)})


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_parts_of_an_axis(axis: int) -> None:
    nodes = [
        helper.make_node("Split", ["x", "lengths"], ["a", "b"], axis=axis),
        node("Slice", "b starts ends axes", "c"),
        node("Add", "a c"),
    ]
    constants = {
        "lengths": np.array([1, 3]),
        "starts": np.array([-1]),
        "ends": np.array([2**62]),
        "axes": np.array([axis % 3]),
    }
    check(nodes, {"x": floats(4, 4, 4)}, constants)


def test_one_entry_of_an_axis_and_rows_by_computed_numbers() -> None:
    check([node("Gather", "x i", axis=1)], {"x": floats(2, 3, 4)}, {"i": np.array(-1)})
    nodes = [node("Cast", "x", "rows", to=TensorProto.INT64), node("Gather", "table rows", axis=0)]
    check(nodes, {"x": np.array([[2, 0], [1, 1]], np.float32)}, {"table": floats(3, 5)})


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 4, 5), (2, 3, 5, 6)), ((1, 7, 5), (1, 5, 6)), ((2, 4, 5), (1, 5, 6))],
)
def test_products_of_computed_matrices(
    left: tuple[int, ...], right: tuple[int, ...], turned: bool
) -> None:
    if not turned:
        check([node("MatMul", "x z")], {"x": floats(*left), "z": floats(*right)})
        return
    axes = [*range(len(right) - 2), len(right) - 1, len(right) - 2]
    nodes = [node("Transpose", "z", "t", perm=axes), node("MatMul", "x t")]
    check(nodes, {"x": floats(*left), "z": floats(*(right[a] for a in axes))})


def test_linear_layers_with_and_without_a_bias_and_a_relu_behind() -> None:
    check([node("MatMul", "x w")], {"x": floats(2, 3, 4)}, {"w": floats(4, 5)})
    nodes = [node("Gemm", "x w b", "g", transB=1), node("Relu", "g")]
    check(nodes, {"x": floats(3, 4)}, {"w": floats(5, 4), "b": floats(5)})


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [[-1], [1], [0, 2]])
def test_sums_means_and_maxima(axes: list[int], keep: int) -> None:
    x = floats(2, 3, 4)
    check([node("ReduceSum", "x axes", keepdims=keep)], {"x": x}, {"axes": np.array(axes)})
    for kind in ("ReduceMax", "ReduceMean"):
        check([node(kind, "x", keepdims=keep, axes=axes)], {"x": x})


def test_softmax_layer_norm_and_running_sums() -> None:
    x = floats(2, 3, 4)
    check([node("Softmax", "x", axis=-1)], {"x": x})
    check([node("LayerNormalization", "x w b")], {"x": x}, {"w": floats(4), "b": floats(4)})
    check([node("CumSum", "x axis")], {"x": x}, {"axis": np.array(-1)})


CONVOLUTIONS = [
    {"kernel_shape": [1, 1]},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "pads": [0, 0, 1, 1], "strides": [2, 2]},
    {"kernel_shape": [5, 5], "pads": [1, 1, 2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 2], "pads": [0, 0, 1, 1], "strides": [2, 1]},
]


@pytest.mark.parametrize("how", CONVOLUTIONS)
@pytest.mark.parametrize("group", [1, 8])
def test_convolutions_with_a_relu6_behind(how: dict[str, Any], group: int) -> None:
    nodes = [node("Conv", "x w b", "c", group=group, **how), node("Clip", "c low high")]
    constants = {
        "w": floats(8, 8 // group, *how["kernel_shape"]),
        "b": floats(8),
        "low": np.float32(0),
        "high": np.float32(6),
    }
    check(nodes, {"x": floats(1, 8, 12, 16)}, constants)


def test_windows_side_by_side_and_doubling() -> None:
    pool = node("AveragePool", "x", "p", kernel_shape=[2, 2], strides=[2, 2])
    double = helper.make_node(
        "Resize",
        ["p", "", "scales"],
        ["y"],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    scales = np.array([1, 1, 2, 2], np.float32)
    check([pool, double], {"x": floats(1, 6, 8, 12)}, {"scales": scales})


def quantised_convolution(group: int) -> tuple[list[NodeProto], dict[str, AnyArray]]:
    """uint8 pictures, int8 weights with a scale per channel, int32 biases: as the factory makes."""
    constants: dict[str, AnyArray] = {
        "sx": np.float32(1 / 128),
        "zx": np.uint8(127),
        "w8": RNG.integers(-127, 128, (8, 8 // group, 3, 3)).astype(np.int8),
        "sw": (0.002 + RNG.random(8) / 100).astype(np.float32),
        "zw": np.zeros(8, np.int8),
        "b32": RNG.integers(-900, 900, 8).astype(np.int32),
        "zb": np.zeros(8, np.int32),
        "sy": np.float32(0.0213),
        "zy": np.uint8(3),
    }
    constants["sb"] = constants["sx"] * constants["sw"]
    nodes = [
        node("DequantizeLinear", "x sx zx", "fx"),
        node("DequantizeLinear", "w8 sw zw", "fw", axis=0),
        node("DequantizeLinear", "b32 sb zb", "fb", axis=0),
        node("Conv", "fx fw fb", "c", group=group, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "c sy zy", "q"),
        node("DequantizeLinear", "q sy zy"),
    ]
    return nodes, constants


@pytest.mark.parametrize("group", [1, 8])
def test_integer_convolutions_give_the_same_bits(group: int) -> None:
    nodes, constants = quantised_convolution(group)
    feeds = {"x": RNG.integers(0, 256, (1, 8, 24, 32)).astype(np.uint8)}
    check(nodes, feeds, constants, exact=True)


def test_integer_windows_are_a_step_apart_at_most_and_only_where_they_tie() -> None:
    constants = {
        "sx": np.float32(0.031),
        "zx": np.uint8(9),
        "sy": np.float32(0.027),
        "zy": np.uint8(11),
    }
    nodes = [
        node("DequantizeLinear", "x sx zx", "fx"),
        node("AveragePool", "fx", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("QuantizeLinear", "p sy zy", "q"),
        node("DequantizeLinear", "q sy zy"),
    ]
    feeds = {"x": RNG.integers(0, 256, (1, 8, 24, 32)).astype(np.uint8)}
    model = graph(nodes, feeds, constants)
    apart = (by_litert(model, feeds)["y"] - by_onnx_runtime(model, feeds)["y"]) / 0.027
    assert np.abs(apart).max() < 1.01
    assert np.mean(apart != 0) < 0.01


def test_a_scale_per_entry_of_what_is_joined_becomes_floats_of_each() -> None:
    constants = {
        "planes": RNG.integers(0, 256, (2, 4, 4)).astype(np.uint8),
        "s": np.array([0.1, 0.1, 0.1, 0.25, 0.5], np.float32),
        "z": np.array([7, 7, 7, 0, 3], np.uint8),
    }
    nodes = [node("Concat", "x planes", "q", axis=0), node("DequantizeLinear", "q s z", axis=0)]
    check(nodes, {"x": RNG.integers(0, 256, (3, 4, 4)).astype(np.uint8)}, constants, exact=True)


def test_bytes_that_are_no_quantised_numbers_are_made_floats() -> None:
    nodes = [node("Cast", "x", "f", to=TensorProto.FLOAT), node("Mul", "f s")]
    check(nodes, {"x": np.arange(12, dtype=np.uint8)}, {"s": np.float32(0.5)}, exact=True)


def test_two_graphs_of_one_file_write_their_weights_once() -> None:
    weights = {"w": floats(64, 64)}
    one, two = File("one"), File("two")
    for rows in (1, 8):
        model = graph([node("MatMul", "x w")], {"x": floats(rows, 64)}, weights)
        add_graph(two, model, f"rows{rows}")
        if rows == 1:
            add_graph(one, model, "rows1")
    assert len(two.content()) - len(one.content()) < weights["w"].nbytes // 4
    interpreter = Interpreter(model_content=two.content())
    assert set(interpreter.get_signature_list()) == {"rows1", "rows8"}


def test_the_same_graph_gives_the_same_bytes() -> None:
    model = graph([node("MatMul", "x w")], {"x": floats(2, 4)}, {"w": floats(4, 4)})
    first, second = File("same"), File("same")
    add_graph(first, model, "all")
    add_graph(second, model, "all")
    assert first.content() == second.content()


def test_constants_lie_where_the_format_wants_them() -> None:
    weights = floats(16, 16)
    file = File("aligned")
    add_graph(file, graph([node("MatMul", "x w")], {"x": floats(2, 16)}, {"w": weights}), "all")
    assert file.content().index(weights.T.tobytes()) % 16 == 0


@pytest.mark.parametrize(
    ("made", "constants", "told"),
    [
        (node("Erf", "x"), {}, "no rule for Erf"),
        (node("Pow", "x z"), {"z": np.float32(3)}, "only squares"),
        (node("Pad", "x amounts", mode="reflect"), {"amounts": np.zeros(8, np.int64)}, "reflect"),
        (
            node("Conv", "x w b", kernel_shape=[3, 3], dilations=[2, 2]),
            {"w": floats(3, 3, 3, 3), "b": floats(3)},
            "dilations",
        ),
    ],
)
def test_what_no_rule_knows_is_refused_in_words(
    made: NodeProto, constants: Arrays, told: str
) -> None:
    model = graph([made], {"x": floats(1, 3, 8, 8)}, constants)
    with pytest.raises(TranslationError, match=told):
        add_graph(File("refused"), model, "all")


def test_free_axes_are_refused_by_name() -> None:
    model = graph([node("Abs", "x")], {"x": floats(2, 3)}, {})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "prompts"
    with pytest.raises(TranslationError, match="'x' has a free axis"):
        add_graph(File("refused"), model, "all")
