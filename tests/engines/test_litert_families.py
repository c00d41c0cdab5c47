"""What the published families' graphs have beyond PocketSAM's, as LiteRT computes it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

from edgesam_engines.errors import TranslationError
from edgesam_rt.types import AnyArray

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.translate import add_graph
from edgesam_engines.litert.turning import MOST_AXES, turning_steps
from tests.engines.litert_doubles import RNG, Arrays, by_litert, check, floats, graph, node

NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}


def operators(nodes: list[NodeProto], feeds: Arrays, constants: Arrays) -> list[str]:
    """The operators that a graph becomes."""
    file = File("test")
    add_graph(file, graph(nodes, feeds, constants), "all")
    made = schema.ModelT.InitFromPackedBuf(file.content(), 0)
    codes = [NAMES[code.builtinCode] for code in made.operatorCodes]
    return [codes[o.opcodeIndex] for o in made.subgraphs[0].operators]


def spelled_gelu(half: float = 0.5) -> tuple[list[NodeProto], dict[str, AnyArray]]:
    nodes = [
        node("Div", "x root", "d"),
        node("Erf", "d", "e"),
        node("Add", "e one", "p"),
        node("Mul", "x p", "m"),
        node("Mul", "m half"),
    ]
    numbers = {"root": 2**0.5, "one": 1.0, "half": half}
    return nodes, {name: np.float32(value) for name, value in numbers.items()}


def test_a_gelu_that_is_spelled_out_is_one_operator() -> None:
    nodes, constants = spelled_gelu()
    check(nodes, {"x": floats(2, 64)}, constants)
    assert operators(nodes, {"x": floats(2, 64)}, constants) == ["GELU"]


def test_a_gelu_by_a_tanh_stays_that_approximation() -> None:
    nodes = [
        node("Mul", "x x", "x2"),
        node("Mul", "x2 x", "x3"),
        node("Mul", "x3 a", "ax3"),
        node("Add", "x ax3", "s"),
        node("Mul", "s root", "r"),
        node("Tanh", "r", "t"),
        node("Add", "t one", "p"),
        node("Mul", "x p", "m"),
        node("Mul", "m half"),
    ]
    numbers = {"a": 0.044715, "root": (2 / np.pi) ** 0.5, "one": 1.0, "half": 0.5}
    constants = {name: np.float32(value) for name, value in numbers.items()}
    feeds = {"x": np.linspace(-4, 4, 400, dtype=np.float32)}
    check(nodes, feeds, constants)
    assert operators(nodes, feeds, constants) == ["GELU"]


def test_an_erf_by_itself_is_refused_by_the_name_of_its_layer() -> None:
    with pytest.raises(TranslationError, match="Erf_y: no rule for Erf"):
        operators([node("Erf", "x")], {"x": floats(4)}, {})


@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        ((2, 3, 2, 3, 3, 4, 5), (4, 0, 2, 5, 1, 3, 6)),
        ((2, 3, 3, 2, 2, 2, 2, 4), (0, 7, 1, 3, 5, 2, 4, 6)),
    ],
)
def test_more_axes_than_litert_takes_are_turned_in_steps(
    shape: tuple[int, ...], perm: tuple[int, ...]
) -> None:
    nodes = [node("Transpose", "x", "t", perm=perm), node("Reshape", "t flat")]
    feeds, constants = {"x": floats(*shape)}, {"flat": np.array([-1])}
    check(nodes, feeds, constants, exact=True)
    assert operators(nodes, feeds, constants).count("TRANSPOSE") == 2


@pytest.mark.parametrize("count", [2, 6, 7, 9, 11])
def test_steps_lead_to_the_order_wanted_with_few_axes_each(count: int) -> None:
    shuffled = np.random.default_rng(count)
    for _ in range(20):
        wanted = shuffled.permutation(count).tolist()
        order = list(range(count))
        for before, behind in turning_steps(order, wanted):
            assert len(before) <= MOST_AXES
            assert list(itertools.chain(*before)) == order
            assert sorted(behind) == sorted(before)
            order = list(itertools.chain(*behind))
        assert order == wanted


CONVOLUTIONS = [
    ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, 1, 8),
    ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, 8, 8),
    ({"kernel_shape": [2, 2], "strides": [2, 2]}, 1, 4),
    ({"kernel_shape": [1, 1]}, 4, 12),
    ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, 8, 16),
    ({"kernel_shape": [3, 3]}, 1, 8),
]


@pytest.mark.parametrize(("how", "group", "channels"), CONVOLUTIONS)
def test_convolutions_with_borders_in_groups_and_without_a_bias(
    how: dict[str, Any], group: int, channels: int
) -> None:
    weight = floats(channels, 8 // group, *how["kernel_shape"])
    check([node("Conv", "x w", group=group, **how)], {"x": floats(1, 8, 12, 16)}, {"w": weight})


@pytest.mark.parametrize(
    "how",
    [
        {"pads": [1, 1, 1, 1], "output_padding": [1, 1], "strides": [2, 2]},
        {"strides": [2, 2]},
        {"pads": [1, 1, 1, 1]},
    ],
)
def test_transposed_convolutions(how: dict[str, Any]) -> None:
    constants = {"w": floats(6, 4, 3, 3), "b": floats(4)}
    made = node("ConvTranspose", "x w b", kernel_shape=[3, 3], **how)
    check([made], {"x": floats(1, 6, 5, 7)}, constants)


def test_maxima_of_windows_with_a_border_that_never_wins() -> None:
    how: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    check([node("MaxPool", "x", **how)], {"x": floats(1, 6, 8, 12) - 9}, exact=True)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 8, 5, 4), (8, 4, 6)),
        ((3, 8, 5, 4), (3, 1, 4, 6)),
        ((9, 4), (3, 4, 5)),
        ((2, 3, 5, 4), (1, 1, 4, 6)),
        ((1, 3, 5, 4), (2, 1, 4, 6)),
    ],
)
def test_products_of_which_either_side_lacks_axes(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    check([node("MatMul", "x z")], {"x": floats(*left), "z": floats(*right)})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_softmax_over_any_axis_of_what_was_turned_around(axis: int) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 2, 0]), node("Softmax", "t", axis=axis)]
    check(nodes, {"x": floats(3, 4, 5)})


def test_a_linear_layer_on_the_channels_of_a_map_moves_nothing() -> None:
    nodes = [
        node("Conv", "x k", "c", kernel_shape=[1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("MatMul", "t w", "m"),
        node("Transpose", "m", "b", perm=[0, 3, 1, 2]),
        node("Conv", "b k", kernel_shape=[1, 1]),
    ]
    feeds, constants = {"x": floats(1, 4, 6, 5)}, {"k": floats(4, 4, 1, 1), "w": floats(4, 4)}
    check(nodes, feeds, constants)
    assert operators(nodes, feeds, constants).count("TRANSPOSE") == 2  # the graph's own ends


def test_a_border_of_any_number_around_what_was_turned_around() -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 2, 0]), node("Pad", "t amounts number")]
    constants = {"amounts": np.array([0, 0, 1, 2, 0, 0]), "number": np.float32(1.5)}
    check(nodes, {"x": floats(1, 4, 5)}, constants, exact=True)


def test_one_of_two_values_by_a_broadcast_condition() -> None:
    nodes = [node("Greater", "x zero", "c"), node("Where", "c z x")]
    feeds = {"x": floats(3, 4, 1), "z": floats(4, 5)}
    check(nodes, feeds, {"zero": np.float32(0)}, exact=True)


def test_all_axes_behind_one_become_one() -> None:
    check([node("Flatten", "x", axis=2)], {"x": floats(2, 3, 4, 5)}, exact=True)


# Integers. Every activation below has one scale; weights have one per channel.
SX, ZX, SY, ZY = np.float32(0.031), np.uint8(120), np.float32(0.043), np.uint8(131)


def quantised(
    kinds: list[NodeProto], *, source: str = "fx", made: str = "r"
) -> tuple[list[NodeProto], dict[str, AnyArray]]:
    """Nodes between a DequantizeLinear of x and a QuantizeLinear of r; y is that in floats."""
    nodes = [
        node("DequantizeLinear", "x sx zx", source),
        *kinds,
        node("QuantizeLinear", f"{made} sy zy", "q"),
        node("DequantizeLinear", "q sy zy"),
    ]
    return nodes, {"sx": SX, "zx": ZX, "sy": SY, "zy": ZY}


def bytes_of(*shape: int) -> AnyArray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def test_integer_linear_layers_give_the_same_bits() -> None:
    nodes, constants = quantised(
        [
            node("DequantizeLinear", "w8 sw zw", "fw", axis=1),
            node("DequantizeLinear", "b32 sb zb", "fb", axis=0),
            node("Gemm", "fx fw fb", "r"),
        ]
    )
    sw = (0.002 + RNG.random(24) / 100).astype(np.float32)
    constants |= {
        "w8": RNG.integers(-127, 128, (16, 24)).astype(np.int8),
        "sw": sw,
        "zw": np.zeros(24, np.int8),
        "b32": RNG.integers(-900, 900, 24).astype(np.int32),
        "sb": SX * sw,
        "zb": np.zeros(24, np.int32),
    }
    feeds = {"x": bytes_of(40, 16)}
    check(nodes, feeds, constants, exact=True)
    assert operators(nodes, feeds, constants).count("CONV_2D") == 1


def test_integer_convolutions_with_a_border_give_the_same_bits() -> None:
    how: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    nodes, constants = quantised(
        [node("DequantizeLinear", "w8 sw zw", "fw", axis=0), node("Conv", "fx fw", "r", **how)]
    )
    constants |= {
        "w8": RNG.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8),
        "sw": (0.002 + RNG.random(8) / 100).astype(np.float32),
        "zw": np.zeros(8, np.int8),
    }
    check(nodes, {"x": bytes_of(1, 4, 12, 16)}, constants, exact=True)


MOVES = [
    node("Slice", "fx starts ends axes", "r"),
    node("Gather", "fx first", "r", axis=0),
    node("Pad", "fx amounts", "r"),
    node("MaxPool", "fx", "r", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    node("Concat", "fx fx", "r", axis=1),
]


@pytest.mark.parametrize("made", MOVES, ids=lambda made: made.op_type)
def test_integers_are_moved_as_they_are(made: NodeProto) -> None:
    nodes, constants = quantised([made])
    constants |= {
        **{"sy": SX, "zy": ZX},
        **{"starts": np.array([1]), "ends": np.array([3]), "axes": np.array([2])},
        **{"first": np.array(0), "amounts": np.array([0, 0, 1, 0, 0, 0, 2, 1])},
    }
    feeds = {"x": bytes_of(2, 3, 6, 8)}
    check(nodes, feeds, constants, exact=True)
    assert operators(nodes, feeds, constants).count("DEQUANTIZE") == 1


FLOATS = [
    node("LayerNormalization", "fx w b", "r"),
    node("Sigmoid", "fx", "r"),
    node("MatMul", "fx fx", "r"),
]


@pytest.mark.parametrize("made", FLOATS, ids=lambda made: made.op_type)
def test_what_has_no_integer_kernel_is_computed_in_floats_between_two_steps(
    made: NodeProto,
) -> None:
    nodes, constants = quantised([made])
    constants |= {"w": floats(16), "b": floats(16)} if made.op_type[0] == "L" else {}
    feeds = {"x": bytes_of(2, 16, 16)}
    _, got = check(nodes, feeds, constants, step=float(SY))
    assert len(np.unique(got["y"])) > 1
    assert operators(nodes, feeds, constants).count("QUANTIZE") == 1


def test_a_softmax_between_integers_is_the_exact_one_rounded() -> None:
    """ONNX Runtime's own, by a table, is a step beside it here and there."""
    nodes, constants = quantised([node("Softmax", "fx", "r", axis=-1)])
    x = bytes_of(16, 16)
    got = by_litert(graph(nodes, {"x": x}, constants), {"x": x})["y"]
    powers = np.exp((x.astype(np.float64) - ZX) * SX)
    exact = powers / powers.sum(-1, keepdims=True)
    assert np.abs(got - exact).max() <= SY * 0.501


def test_bytes_that_are_read_with_two_scales_mean_two_things() -> None:
    nodes, constants = quantised(
        [
            node("DequantizeLinear", "x sx2 zx", "fx2"),
            node("Sigmoid", "fx2", "gate"),
            node("Mul", "fx gate", "r"),
        ]
    )
    constants["sx2"] = np.float32(SX * 1.7)
    check(nodes, {"x": bytes_of(64, 8)}, constants, step=float(SY))


def test_a_float_convolution_between_integers_takes_its_weights_as_floats() -> None:
    """Its result is an output in floats: no one says what integers would mean."""
    nodes = [
        node("DequantizeLinear", "x sx zx", "fx"),
        node("DequantizeLinear", "w8 sw zw", "fw", axis=0),
        node("Conv", "fx fw", kernel_shape=[1, 1]),
    ]
    constants = {
        **{"sx": SX, "zx": ZX, "sw": np.array([0.01, 0.02], np.float32)},
        **{"w8": RNG.integers(-127, 128, (2, 3, 1, 1)).astype(np.int8), "zw": np.zeros(2, np.int8)},
    }
    check(nodes, {"x": bytes_of(1, 3, 4, 4)}, constants)


@pytest.mark.torch
def test_a_graph_with_free_axes_becomes_one_per_number_of_prompts() -> None:
    from edgesam_engines.litert.parts import bound

    made = graph([node("MatMul", "x w")], {"x": floats(1, 4)}, {"w": floats(4, 3)})
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "prompts"
    fixed = bound(made)({"prompts": 7, "points": 2})
    dims = [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim]
    assert dims == [7, 4]
    assert fixed.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "prompts"
