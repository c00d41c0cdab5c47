from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.errors import ShapeError
from edgesam_rt.imaging import masks
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.types import F32, F64, Bool


def weights(n_in: int, n_out: int, scale: float) -> F64:
    """(n_out, n_in) bilinear weights, half-pixel centres, edges repeated: the whole oracle."""
    at = np.clip((np.arange(n_out) + 0.5) * scale - 0.5, 0, n_in - 1)
    low = np.minimum(at.astype(int), max(n_in - 2, 0))
    out = np.zeros((n_out, n_in))
    out[np.arange(n_out), low] = 1 - (at - low)
    out[np.arange(n_out), np.minimum(low + 1, n_in - 1)] += at - low
    return out


def direct(logits: F32, fit: Fit) -> F64:
    """Float64 logits at picture size, in one step from the cells inside the picture."""
    (h, w), (sh, sw), side = fit.image_hw, fit.scaled_hw, len(logits)
    cells_h, cells_w = sh * side / fit.side, sw * side / fit.side
    inside = logits[: math.ceil(cells_h), : math.ceil(cells_w)].astype(np.float64)
    rows = weights(inside.shape[0], h, cells_h / h)
    out: F64 = rows @ inside @ weights(inside.shape[1], w, cells_w / w).T
    return out


def two_steps(logits: F32, fit: Fit) -> F64:
    """The published way: up to the whole square, cut off the padding, resize to the picture."""
    (h, w), (sh, sw) = fit.image_hw, fit.scaled_hw
    up = weights(len(logits), fit.side, len(logits) / fit.side)
    square = (up @ logits.astype(np.float64) @ up.T)[:sh, :sw]
    out: F64 = weights(sh, h, sh / h) @ square @ weights(sw, w, sw / w).T
    return out


def smooth_logits(seed: int, side: int = 64) -> F32:
    """A few blobs, as a decoder makes them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    out = np.full((side, side), -3.0)
    for _ in range(4):
        cy, cx, ry, rx = *rng.random(2), *rng.uniform(0.1, 0.4, 2)
        out = np.maximum(out, 8 - 8 * (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2))
    return out.clip(-12, 12).astype(np.float32)


def assert_same_but_at_the_edge(mask: Bool, values: F64, threshold: float) -> None:
    unsure = np.abs(values - threshold) < 1e-4
    assert mask.shape == values.shape
    assert not ((mask != (values > threshold)) & ~unsure).any()


SIZES = [
    (1, 1),
    (1, 500),
    (500, 1),
    (7, 3),
    (64, 64),
    (120, 161),
    (480, 640),
    (641, 479),
    (33, 999),
]


@pytest.mark.parametrize("image_hw", SIZES)
@pytest.mark.parametrize("threshold", [0.0, -1.5])
def test_masks_are_those_of_exact_bilinear_resizing(
    image_hw: tuple[int, int], threshold: float
) -> None:
    fit = Fit.longest_side(image_hw, 256)
    logits = smooth_logits(3)
    mask = masks.to_image(logits, fit, threshold)
    assert mask.dtype == np.bool_
    assert mask.flags.c_contiguous
    assert_same_but_at_the_edge(mask, direct(logits, fit), threshold)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.sampled_from([128, 320, 512]),
    st.integers(0, 99),
)
def test_any_picture_size_keeps_its_size_and_its_pixels(
    image_hw: tuple[int, int], side: int, seed: int
) -> None:
    fit = Fit.longest_side(image_hw, side)
    logits = np.random.default_rng(seed).standard_normal((32, 32)).astype(np.float32) * 5
    assert_same_but_at_the_edge(masks.to_image(logits, fit, 0.0), direct(logits, fit), 0.0)


@pytest.mark.parametrize("image_hw", [(480, 640), (640, 480), (300, 451), (1080, 1920)])
@pytest.mark.parametrize("seed", range(3))
def test_masks_agree_with_the_published_two_steps(image_hw: tuple[int, int], seed: int) -> None:
    fit = Fit.longest_side(image_hw, 256)
    logits = smooth_logits(seed)
    ours, theirs = masks.to_image(logits, fit, 0.0), two_steps(logits, fit) > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.99


def test_what_the_padding_holds_does_not_matter() -> None:
    fit = Fit.longest_side((100, 200), 256)  # 32 of 64 rows of logits
    logits = smooth_logits(1)
    other = logits.copy()
    other[32:] = 99.0
    assert np.array_equal(masks.to_image(logits, fit, 0.0), masks.to_image(other, fit, 0.0))


@pytest.mark.parametrize("image_hw", SIZES)
@pytest.mark.parametrize("noise", [False, True])
def test_bands_give_what_one_resize_gives(
    image_hw: tuple[int, int], noise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit.longest_side(image_hw, 256)
    rng = np.random.default_rng(5)
    logits = rng.standard_normal((64, 64)).astype(np.float32) if noise else smooth_logits(5)
    whole = masks.to_image(logits, fit, 0.25)
    monkeypatch.setattr(masks, "MAX_FLOAT_PIXELS", 0)
    banded = masks.to_image(logits, fit, 0.25)
    assert_same_but_at_the_edge(banded, direct(logits, fit), 0.25)
    assert_same_but_at_the_edge(whole, direct(logits, fit), 0.25)
    assert (whole != banded).mean() < 1e-4


def test_a_huge_picture_takes_little_more_memory_than_its_mask() -> None:
    fit = Fit.longest_side((3000, 12000), 512)
    logits = smooth_logits(2, 128)
    tracemalloc.start()  # numpy reports its arrays; OpenCV's result is one of them
    try:
        mask = masks.to_image(logits, fit, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert mask.shape == (3000, 12000)
    assert peak < mask.nbytes + 32e6


def test_stability_is_the_iou_of_the_two_cuts() -> None:
    logits = np.zeros((2, 4, 4), np.float32)
    logits[0, :2] = 5.0
    logits[1] = np.array([-5.0, -0.5, 0.5, 5.0], np.float32)
    assert masks.stability_scores(logits, 0.0, 1.0).tolist() == [0.5, pytest.approx(1 / 3)]


def test_the_stability_of_an_empty_mask_is_zero() -> None:
    scores = masks.stability_scores(np.full((1, 4, 4), -9.0, np.float32), 0.0, 1.0)
    assert scores.tolist() == [0.0]
    assert scores.dtype == np.float32
    assert masks.stability_scores(np.zeros((0, 4, 4), np.float32), 0.0, 1.0).shape == (0,)


def test_stability_wants_a_stack_of_masks() -> None:
    with pytest.raises(ShapeError, match=r"expected \(K, h, w\) logits, got \(4, 4\)"):
        masks.stability_scores(np.zeros((4, 4), np.float32), 0.0, 1.0)


def test_outlines_run_through_pixel_centres_and_leave_holes_out() -> None:
    mask = np.zeros((10, 12), np.bool_)
    mask[2:7, 3:9] = True
    mask[4, 5] = False
    mask[9, 11] = True
    lines = masks.outlines(mask)
    assert sorted(len(line) for line in lines) == [1, 4]
    square = max(lines, key=len)
    assert square.dtype == np.float32
    assert square.min(0).tolist() == [3.5, 2.5]
    assert square.max(0).tolist() == [8.5, 6.5]
    assert masks.outlines(np.zeros((5, 5), np.bool_)) == []


def iou_of(a: list[float], b: list[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union if union else 0.0


@st.composite
def boxes(draw: st.DrawFn) -> F64:
    k = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = rng.integers(0, 20, (k, 2))
    return np.concatenate([start, start + rng.integers(0, 20, (k, 2))], 1).astype(np.float64)


@given(boxes(), boxes())
def test_iou_is_that_of_the_plain_formula(a: F64, b: F64) -> None:
    expected = [[iou_of(x, y) for y in b.tolist()] for x in a.tolist()]
    got = masks.box_iou(a, b)
    assert got.shape == (len(a), len(b))
    np.testing.assert_allclose(got, np.array(expected).reshape(got.shape))


@given(boxes(), st.floats(0, 1), st.integers(0, 9))
def test_nms_leaves_no_pair_above_the_threshold_and_loses_none_without_reason(
    given_boxes: F64, threshold: float, seed: int
) -> None:
    scores = np.random.default_rng(seed).permutation(len(given_boxes)) / 7
    kept = masks.nms(given_boxes, scores, threshold)
    overlaps = masks.box_iou(given_boxes, given_boxes)
    among = overlaps[np.ix_(kept, kept)] * (1 - np.eye(len(kept)))
    assert (among <= threshold).all()
    assert (np.diff(scores[kept]) < 0).all()
    for lost in set(range(len(given_boxes))) - set(kept.tolist()):
        rivals = kept[scores[kept] > scores[lost]]
        assert (overlaps[lost, rivals] > threshold).any()


@given(boxes(), st.floats(0, 1))
def test_nms_of_what_nms_kept_keeps_all(given_boxes: F64, threshold: float) -> None:
    scores = np.random.default_rng(0).random(len(given_boxes))
    kept = masks.nms(given_boxes, scores, threshold)
    again = masks.nms(given_boxes[kept], scores[kept], threshold)
    assert again.tolist() == list(range(len(kept)))


@given(boxes(), st.floats(0, 1), st.integers(0, 9))
def test_nms_of_distinct_scores_is_free_of_order(
    given_boxes: F64, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(len(given_boxes)).astype(np.float64)
    shuffle = rng.permutation(len(given_boxes))
    kept = masks.nms(given_boxes, scores, threshold)
    shuffled = masks.nms(given_boxes[shuffle], scores[shuffle], threshold)
    assert shuffle[shuffled].tolist() == kept.tolist()


def test_nms_gives_ties_to_the_first_and_survives_its_block_size() -> None:
    same = np.tile([0.0, 0.0, 9.0, 9.0], (600, 1))
    assert masks.nms(same, np.zeros(600), 0.5).tolist() == [0]
    apart = np.stack([np.arange(600) * 10.0] * 2 + [np.arange(600) * 10.0 + 9] * 2, 1)
    assert masks.nms(apart, np.zeros(600), 0.5).tolist() == list(range(600))
    assert masks.nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
