from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgesam_engines.graph_edits import PIXELS, fold_pads, take_uint8_pixels
from edgesam_rt.types import AnyArray
from tests.engines.graph_doubles import count, make_graph, noise, run

SIZE = 9


def padded_conv(
    pads: tuple[int, int, int, int],
    *,
    own: tuple[int, int, int, int] | None = (0, 0, 0, 0),
    mode: str = "constant",
    constant: float | None = 0.0,
    channels: tuple[int, int] = (0, 0),
    twice: bool = False,
    also_output: bool = False,
    as_node: str = "",
) -> ModelProto:
    """Pad, then Conv; `pads` are top, left, bottom, right. `as_node` is an input made by a node."""
    top, left, bottom, right = pads
    values: dict[str, AnyArray] = {
        "pads": np.array([0, channels[0], top, left, 0, channels[1], bottom, right], np.int64),
        "w": noise((4, 3 + sum(channels), 3, 3), 1),
    }
    inputs = ["x", "pads"]
    if constant is not None:
        values["constant"] = np.array(constant, np.float32)
        inputs.append("constant")
    nodes = []
    if as_node:
        nodes.append(
            helper.make_node(
                "Constant", [], [as_node], value=numpy_helper.from_array(values.pop(as_node))
            )
        )
    nodes += [
        helper.make_node("Pad", inputs, ["padded"], mode=mode),
        helper.make_node("Conv", ["padded", "w"], ["y"], pads=own),
    ]
    h, w = SIZE + top + bottom, SIZE + left + right
    own_h, own_w = (0, 0) if own is None else (own[0] + own[2], own[1] + own[3])
    outputs = {"y": (1, 4, h + own_h - 2, w + own_w - 2)}
    if twice:
        nodes.append(helper.make_node("Relu", ["padded"], ["z"]))
        outputs["z"] = (1, 3, h, w)
    if also_output:
        outputs["padded"] = (1, 3, h, w)
    return make_graph(nodes, inputs={"x": (1, 3, SIZE, SIZE)}, outputs=outputs, values=values)


def assert_same_results(before: ModelProto, after: ModelProto) -> None:
    x = noise((1, 3, SIZE, SIZE))
    for old, new in zip(run(before, x=x), run(after, x=x), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


def folded(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    fold_pads(copy)
    return copy


sides = st.tuples(*[st.integers(0, 3)] * 4)


@given(sides, sides)
@settings(max_examples=30, deadline=None)
def test_a_pad_of_zeros_goes_into_its_convolution(
    pads: tuple[int, int, int, int], own: tuple[int, int, int, int]
) -> None:
    model = padded_conv(pads, own=own)
    after = folded(model)
    assert count(after, "Pad") == 0
    assert_same_results(model, after)


def test_a_pad_without_a_stated_constant_is_one_of_zeros() -> None:
    model = padded_conv((0, 0, 1, 1), constant=None, own=None)
    assert count(folded(model), "Pad") == 0
    assert_same_results(model, folded(model))


@pytest.mark.parametrize(
    "model",
    [
        padded_conv((1, 1, 1, 1), constant=0.5),
        padded_conv((1, 1, 1, 1), channels=(0, 1)),
        padded_conv((1, 1, 1, 1), twice=True),
        padded_conv((1, 1, 1, 1), mode="reflect"),
        padded_conv((1, 1, 1, 1), mode="edge"),
        padded_conv((1, 1, 1, 1), also_output=True),
        padded_conv((1, 1, 1, 1), as_node="pads"),
        padded_conv((1, 1, 1, 1), as_node="constant"),
    ],
    ids=[
        "of another value",
        "of channels",
        "with another user",
        "that mirrors",
        "that repeats the edge",
        "that is an output too",
        "whose widths are made by a node",
        "whose value is made by a node",
    ],
)
def test_a_pad_that_cannot_be_folded_is_left_and_the_results_stay(model: ModelProto) -> None:
    after = folded(model)
    assert count(after, "Pad") == 1
    assert_same_results(model, after)


def test_a_convolution_without_a_pad_is_left() -> None:
    model = make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        inputs={"x": (1, 3, SIZE, SIZE)},
        outputs={"y": (1, 4, SIZE, SIZE)},
        values={"w": noise((4, 3, 3, 3))},
    )
    assert folded(model).SerializeToString() == model.SerializeToString()


# uint8 pixels

SIDE = 8
MEAN, STD = 127.0, 128.0


def float_graph(shape: tuple[int, int, int, int]) -> ModelProto:
    return make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["x"], ["z"])],
        inputs={"x": shape},
        outputs={"y": shape, "z": shape},
        values={},
    )


def quantized_graph(shape: tuple[int, int, int, int]) -> ModelProto:
    """As the quantizer leaves it: Q and DQ behind the input, with a scale it found by itself."""
    return make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_q"]),
            helper.make_node("DequantizeLinear", ["x_q", "x_scale", "x_zero"], ["x_dq"]),
            helper.make_node("Identity", ["x_dq"], ["z"]),
        ],
        inputs={"x": shape},
        outputs={"z": shape},
        values={"x_scale": np.array(0.0071, np.float32), "x_zero": np.array(129, np.uint8)},
    )


def picture() -> AnyArray:
    values = np.arange(SIDE * SIDE * 3) * 5 % 256
    values[:2] = (0, 255)
    return values.astype(np.uint8).reshape(1, SIDE, SIDE, 3)


@pytest.mark.parametrize("make", [float_graph, quantized_graph], ids=["float", "quantized"])
def test_pixels_are_read_as_the_normalised_picture(make: object) -> None:
    assert callable(make)
    model = make((1, 3, SIDE, SIDE))
    take_uint8_pixels(model, (1, SIDE, SIDE, 3), MEAN, STD)
    expected = (picture().astype(np.float32) - MEAN) / STD
    got = run(model, **{PIXELS: picture()})[-1]
    np.testing.assert_allclose(got, expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize("make", [float_graph, quantized_graph], ids=["float", "quantized"])
def test_grouped_pixels_are_the_same_values_seen_in_groups(make: object) -> None:
    assert callable(make)
    model = make((1, 12, SIDE, SIDE // 4))
    take_uint8_pixels(model, (1, SIDE, SIDE // 4, 12), MEAN, STD)
    got = run(model, **{PIXELS: picture()})[-1]
    for group in range(4):
        for channel in range(3):
            expected = (picture()[0, :, group::4, channel].astype(np.float32) - MEAN) / STD
            np.testing.assert_allclose(got[0, 3 * group + channel], expected, atol=1e-6)


@pytest.mark.parametrize("make", [float_graph, quantized_graph], ids=["float", "quantized"])
def test_the_only_input_left_is_a_picture_of_bytes(make: object) -> None:
    assert callable(make)
    model = make((1, 12, SIDE, SIDE // 4))
    take_uint8_pixels(model, (1, SIDE, SIDE // 4, 12), MEAN, STD)
    (only,) = model.graph.input
    assert only.name == PIXELS
    assert only.type.tensor_type.elem_type == TensorProto.UINT8
    assert [d.dim_value for d in only.type.tensor_type.shape.dim] == [1, SIDE, SIDE, 3]
    assert count(model, "QuantizeLinear") == 0
