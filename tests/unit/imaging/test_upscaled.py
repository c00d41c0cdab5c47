from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.masks import cells_covered
from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.types import F32

CASES = [
    ((480, 640), 512, (96, 128)),
    ((427, 640), 512, (96, 128)),  # the picture ends within a cell
    ((333, 500), 512, (128, 128)),  # the whole square
    ((640, 426), 384, (96, 64)),
    ((50, 60), 512, (128, 128)),  # smaller than the mask
    ((1, 700), 512, (8, 128)),
    ((37, 1), 512, (128, 8)),
    ((1, 1), 512, (128, 128)),
    ((1300, 1700), 384, (96, 96)),
]


def noise(cells: tuple[int, int], k: int = 6, seed: int = 0) -> F32:
    """Blobs of a few cells, some of them at the edges, one mask empty and one full."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(k, *(max(1, n // 6) for n in cells))).astype(np.float32)
    size = cells[::-1]
    masks = [cv2.resize(c, size, interpolation=cv2.INTER_CUBIC) * 4 - 1 for c in coarse]
    masks[1] = np.full(cells, -9, np.float32)
    masks[2] = np.full(cells, 9, np.float32)
    return np.stack(masks).astype(np.float32)


def resized(logits: F32, fit: Fit) -> F32:
    """(K, H, W) by OpenCV."""
    high, wide = cells_covered(logits.shape, fit)
    h, w = fit.image_hw
    inside = logits[:, : math.ceil(high), : math.ceil(wide)]
    grown = [cv2.resize(v, None, fx=w / wide, fy=h / high) for v in inside]
    return np.stack([g.reshape(g.shape[:2])[:h, :w] for g in grown])


@pytest.mark.parametrize(("image_hw", "side", "cells"), CASES, ids=str)
@pytest.mark.parametrize("cut", [-1.0, 0.0, 0.7])
def test_pixels_are_counted_as_if_the_logits_were_resized(
    image_hw: tuple[int, int], side: int, cells: tuple[int, int], cut: float
) -> None:
    fit, logits = Fit.longest_side(image_hw, side), noise(cells)
    expected = (resized(logits, fit) > cut).sum((1, 2))
    np.testing.assert_array_equal(Upscaled(logits, fit).counts(cut), expected)


@pytest.mark.parametrize(("image_hw", "side", "cells"), CASES, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_boxes_are_those_of_the_resized_masks(
    image_hw: tuple[int, int], side: int, cells: tuple[int, int], seed: int
) -> None:
    fit, logits = Fit.longest_side(image_hw, side), noise(cells, seed=seed)
    for box, mask in zip(Upscaled(logits, fit).boxes(0.5), resized(logits, fit) > 0.5, strict=True):
        ys, xs = np.nonzero(mask)
        found = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(ys) else (0, 0, 0, 0)
        assert tuple(box) == found


@pytest.mark.parametrize(("image_hw", "side", "cells"), CASES, ids=str)
def test_samples_are_the_resized_logits(
    image_hw: tuple[int, int], side: int, cells: tuple[int, int]
) -> None:
    fit, logits = Fit.longest_side(image_hw, side), noise(cells)
    h, w = image_hw
    at = np.random.default_rng(1).uniform((0, 0), (w, h), (40, 2)).astype(np.float32)
    at = np.concatenate([at, np.array([[0, 0], [w, h]], np.float32)])
    x, y = at[:, 0].astype(int).clip(0, w - 1), at[:, 1].astype(int).clip(0, h - 1)
    expected = resized(logits, fit)[:, y, x]
    np.testing.assert_allclose(Upscaled(logits, fit).sampled(at), expected, atol=1e-4)


def test_cells_that_no_pixel_shows_do_not_count() -> None:
    """The picture ends within a row of cells; what is above the cut only there is not in it."""
    fit = Fit.longest_side((426, 640), 512)  # 85.25 rows of cells
    logits = np.full((1, 88, 128), -5, np.float32)
    logits[0, 40:60, 30:50] = 5
    logits[0, 85:, 90:120] = 0.1  # the last row of pixels lies at row 84.65
    logits[0, 20, 10] = 1e-6  # above the cut, and no pixel has its centre there
    expected = resized(logits, fit)[0] > 0
    ys, xs = np.nonzero(expected)
    assert xs.max() < 300
    found = Upscaled(logits, fit).boxes(0.0)[0]
    assert tuple(found) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_stability_is_a_share_of_pixels() -> None:
    fit, logits = Fit.longest_side((480, 640), 512), noise((96, 128))
    full = resized(logits, fit)
    wide = (full > -1).sum((1, 2))
    expected = (full > 1).sum((1, 2)) / np.maximum(wide, 1)
    np.testing.assert_allclose(Upscaled(logits, fit).stability_scores(0, 1), expected, atol=1e-6)


def test_no_mask_is_nothing() -> None:
    none = Upscaled(np.zeros((0, 96, 128), np.float32), Fit.longest_side((480, 640), 512))
    assert none.counts(0.0).shape == (0,)
    assert none.boxes(0.0).shape == (0, 4)
    assert none.stability_scores(0.0, 1.0).shape == (0,)
    assert none.sampled(np.zeros((3, 2), np.float32)).shape == (0, 3)
