"""Pictures as encoders of several families take them."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from edgesam_rt.imaging import masks
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import DecoderFacts, Preprocess
from edgesam_rt.preprocess import fit_for, normalised, to_square, to_tensor
from edgesam_rt.prompt_feeds import from_points, from_prompts
from edgesam_rt.records import Prompt
from edgesam_rt.types import U8

RULE = Preprocess(
    resize="longest_side",
    colour="rgb",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    pad_value=0,
    pad_order="after_normalising",
    input_dtype="float32",
    layout="nchw",
    normalised_in_engine=False,
    resample="pil_bilinear",
)
FACTS = DecoderFacts(
    masks=4,
    clear_answer=0,
    ambiguous_answers=(1, 2, 3),
    points_per_prompt=8,
    coordinates="pixels",
    prompt_side=1024,
    mask_stride=4,
    score_kind="predicted_iou",
    padding_point=True,
    filler_label=-2,
)


def grey(h: int, w: int) -> U8:
    return np.full((h, w, 3), 100, np.uint8)


def test_padding_behind_the_normalising_is_zero_and_the_picture_is_normalised() -> None:
    fit = fit_for((20, 40), 64, RULE)
    values = to_tensor(to_square(grey(20, 40), fit, RULE), fit, RULE)
    assert values.shape == (1, 3, 64, 64)
    assert values.dtype == np.float32
    wanted = (100 - np.array(RULE.mean)) / np.array(RULE.std)
    np.testing.assert_allclose(values[0, :, 31, 63], wanted, rtol=1e-5)
    assert not values[0, :, 32:].any()


def test_padding_before_the_normalising_is_normalised() -> None:
    rule = replace(RULE, pad_order="before_normalising")
    fit = fit_for((20, 40), 64, rule)
    values = normalised(to_square(grey(20, 40), fit, rule), fit, rule)
    np.testing.assert_allclose(values[-1, -1], -np.array(rule.mean) / np.array(rule.std), rtol=1e-5)


def test_blue_comes_first_where_the_manifest_says_so() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 2] = 255
    rule = replace(
        RULE, colour="bgr", layout="nhwc", normalised_in_engine=True, input_dtype="uint8"
    )
    fit = fit_for((4, 4), 4, rule)
    assert (to_tensor(to_square(pixels, fit, rule), fit, rule)[0, ..., 0] == 255).all()


def test_a_squashed_picture_fills_the_square() -> None:
    fit = fit_for((20, 40), 64, replace(RULE, resize="squash"))
    assert fit.scaled_hw == (64, 64)
    np.testing.assert_allclose(fit.to_unit(np.array([[40, 20]], np.float32)), [[1, 1]])


def test_the_shorter_side_is_rounded_down_where_the_manifest_says_so() -> None:
    hw = (683, 1024)
    assert fit_for(hw, 512, RULE).scaled_hw == (342, 512)
    assert fit_for(hw, 512, replace(RULE, rounding="down")).scaled_hw == (341, 512)


@pytest.mark.parametrize("image_hw", [(394, 394), (856, 214), (300, 451), (1, 4000)])
def test_rounding_down_leaves_the_longer_side_and_the_scale_of_prompts_alone(
    image_hw: tuple[int, int],
) -> None:
    h, w = image_hw
    fit = fit_for(image_hw, 1024, replace(RULE, rounding="down"))
    assert max(fit.scaled_hw) == 1024
    corner = np.array([[w, h]], np.float32)
    for each in (fit, fit.in_frame(256)):
        np.testing.assert_allclose(each.to_unit(corner), corner / max(h, w), rtol=1e-6)
        np.testing.assert_allclose(each.from_unit(each.to_unit(corner)), corner, rtol=1e-6)
    assert fit.in_frame(256).scaled_hw == (max(1, 256 * h // max(h, w)), 256 * w // max(h, w))


def test_prompts_live_in_a_frame_of_their_own() -> None:
    fit = Fit.longest_side((683, 1024), 512)
    batch = from_prompts([Prompt.point(1024, 683)], fit, FACTS)
    np.testing.assert_allclose(batch.point_coords[0, 0], [1024, 683])


def test_only_points_without_a_box_get_sams_padding_point_and_fillers_are_told_apart() -> None:
    fit = Fit.longest_side((100, 100), 1024)
    box, point = Prompt.box(10, 10, 50, 50), Prompt.point(20, 20)
    mask = np.zeros((256, 256), np.float32)
    only_mask = Prompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), mask)
    batch = from_prompts([point, box, box + point, only_mask], fit, FACTS)
    assert batch.point_labels.tolist() == [[1, -1, -2], [2, 3, -2], [1, 2, 3], [-2, -2, -2]]
    assert (
        from_points(np.ones((2, 2), np.float32), fit, FACTS).point_labels.tolist() == [[1, -1]] * 2
    )


@pytest.mark.parametrize("image_hw", [(300, 451), (512, 512), (640, 200)])
def test_masks_by_way_of_a_square_take_two_bilinear_steps(image_hw: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    logits = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    fit = Fit(image_hw, 512, Fit.longest_side(image_hw, 512).scaled_hw, mask_side=256)
    h, w = Fit.longest_side(image_hw, 256).scaled_hw
    square = cv2.resize(logits, (256, 256), interpolation=cv2.INTER_LINEAR)[:h, :w]
    wanted = cv2.resize(square, image_hw[::-1], interpolation=cv2.INTER_LINEAR) > 0
    assert (masks.to_image(logits, fit, 0.0) == wanted).mean() > 0.9999
