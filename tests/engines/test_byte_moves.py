from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from onnx import ModelProto, NodeProto, helper

from edgesam_engines.byte_moves import join_bytes, move_bytes
from edgesam_rt.types import AnyArray
from tests.engines.graph_doubles import count, make_graph, noise, run

SHAPE = (1, 6, 4, 5)
SCALES: dict[str, AnyArray] = {
    "scale": np.array(0.02, np.float32),
    "zero": np.array(130, np.uint8),
    "other_scale": np.array(0.03, np.float32),
    "other_zero": np.array(7, np.uint8),
}


def quantize(x: str, y: str, which: str = "") -> NodeProto:
    return helper.make_node("QuantizeLinear", [x, f"{which}scale", f"{which}zero"], [y])


def dequantize(x: str, y: str, which: str = "") -> NodeProto:
    return helper.make_node("DequantizeLinear", [x, f"{which}scale", f"{which}zero"], [y])


def copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def assert_same_values(before: ModelProto, after: ModelProto) -> None:
    x = noise(SHAPE)
    for old, new in zip(run(before, x=x), run(after, x=x), strict=True):
        np.testing.assert_array_equal(new, old)


# move_bytes


def moved(*, behind: str = "", also_read: bool = False) -> ModelProto:
    """Q, DQ, Transpose, Q, DQ, Reshape, Q, DQ; `behind` names the scale after the Transpose."""
    nodes = [
        quantize("x", "q0"),
        dequantize("q0", "f0"),
        helper.make_node("Transpose", ["f0"], ["t"], "turn", perm=[0, 2, 3, 1]),
        quantize("t", "q1", behind),
        dequantize("q1", "f1", behind),
        helper.make_node("Reshape", ["f1", "shape"], ["r"], "reshape"),
        quantize("r", "q2", behind),
        dequantize("q2", "y", behind),
    ]
    outputs: dict[str, tuple[int, ...]] = {"y": (20, 6)}
    if also_read:
        nodes.append(helper.make_node("Relu", ["t"], ["z"]))
        outputs["z"] = (1, 4, 5, 6)
    return make_graph(
        nodes,
        inputs={"x": SHAPE},
        outputs=outputs,
        values={**SCALES, "shape": np.array([20, 6], np.int64)},
    )


def test_moves_between_equal_scales_move_bytes() -> None:
    model = moved()
    after = copied(model)
    move_bytes(after)
    assert (count(after, "QuantizeLinear"), count(after, "DequantizeLinear")) == (1, 1)
    assert [n.op_type for n in after.graph.node][1:3] == ["Transpose", "Reshape"]
    assert_same_values(model, after)


def test_a_move_to_another_scale_is_left() -> None:
    model = moved(behind="other_")
    after = copied(model)
    move_bytes(after)
    turn = next(n for n in after.graph.node if n.name == "turn")
    assert turn.input[0] == "f0"
    assert_same_values(model, after)


def test_a_move_whose_floats_are_read_is_left() -> None:
    model = moved(also_read=True)
    after = copied(model)
    move_bytes(after)
    turn = next(n for n in after.graph.node if n.name == "turn")
    assert turn.input[0] == "f0"
    assert_same_values(model, after)


def test_a_reader_of_the_floats_before_a_move_keeps_them() -> None:
    model = make_graph(
        [
            quantize("x", "q0"),
            dequantize("q0", "f0"),
            helper.make_node("Transpose", ["f0"], ["t"], perm=[0, 2, 3, 1]),
            quantize("t", "q1"),
            dequantize("q1", "y"),
            helper.make_node("Relu", ["f0"], ["z"]),
        ],
        inputs={"x": SHAPE},
        outputs={"y": (1, 4, 5, 6), "z": SHAPE},
        values=SCALES,
    )
    after = copied(model)
    move_bytes(after)
    assert count(after, "QuantizeLinear") == 1
    assert_same_values(model, after)


# join_bytes


def joined(constant: AnyArray, *, axis: int = 1, behind: bool = False) -> ModelProto:
    """A dequantized map and a constant, joined; `behind` quantizes the result again."""
    nodes = [
        quantize("x", "q0"),
        dequantize("q0", "f0"),
        helper.make_node("Concat", ["f0", "constant"], ["f1" if behind else "y"], axis=axis),
    ]
    if behind:
        nodes += [quantize("f1", "q1"), dequantize("q1", "y")]
    shape = list(SHAPE)
    shape[axis] += constant.shape[axis]
    return make_graph(
        nodes,
        inputs={"x": SHAPE},
        outputs={"y": shape},
        values={**SCALES, "constant": constant.astype(np.float32)},
    )


def planes(columns: int = 5) -> AnyArray:
    """Cell centres in x and ones, (1, 2, 4, columns)."""
    xs = np.broadcast_to((np.arange(columns) + 0.5) / columns, (4, columns))
    return np.stack([xs, np.ones((4, columns))])[None]


def test_constants_that_8_bits_hold_are_joined_as_bytes() -> None:
    model = joined(planes())
    after = copied(model)
    join_bytes(after)
    assert after.graph.node[-1].op_type == "DequantizeLinear"
    assert count(after, "DequantizeLinear") == 1
    x = noise(SHAPE)
    (old,), (new,) = run(model, x=x), run(after, x=x)
    np.testing.assert_array_equal(new[:, :6], old[:, :6])
    np.testing.assert_allclose(new[:, 6:], old[:, 6:], rtol=1e-6)


@pytest.mark.parametrize("columns", [1, 96, 128])
def test_cell_centres_of_up_to_128_cells_are_held_exactly(columns: int) -> None:
    shape = (1, 6, 4, columns)
    model = make_graph(
        [
            quantize("x", "q0"),
            dequantize("q0", "f0"),
            helper.make_node("Concat", ["f0", "constant"], ["y"], axis=1),
        ],
        inputs={"x": shape},
        outputs={"y": (1, 8, 4, columns)},
        values={**SCALES, "constant": planes(columns).astype(np.float32)},
    )
    join_bytes(model)
    (got,) = run(model, x=noise(shape))
    np.testing.assert_allclose(got[:, 6:], planes(columns), rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        joined(noise((1, 2, 4, 5)).__abs__() + 0.1),
        joined(np.zeros((1, 1, 4, 5))),
        joined(-planes()),
        joined(planes(), behind=True),
        joined(np.concatenate([np.full((1, 1, 4, 4), 1.0), np.full((1, 1, 4, 1), 256.0)], -1)),
    ],
    ids=["of no common step", "of zeros", "below zero", "not at the end", "more than 255 steps"],
)
def test_other_joins_are_left(model: ModelProto) -> None:
    after = copied(model)
    join_bytes(after)
    assert after.SerializeToString() == model.SerializeToString()


def test_a_join_of_constants_alone_is_left() -> None:
    values: dict[str, AnyArray] = {
        "a": np.ones((1, 2), np.float32),
        "b": np.ones((1, 3), np.float32),
    }
    model = make_graph(
        [
            helper.make_node("Concat", ["a", "b"], ["y"], axis=1),
            helper.make_node("Relu", ["x"], ["z"]),
        ],
        inputs={"x": SHAPE},
        outputs={"y": (1, 5), "z": SHAPE},
        values=values,
    )
    after = copied(model)
    join_bytes(after)
    assert after.SerializeToString() == model.SerializeToString()
