"""Resampling as Pillow does it, against Pillow."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.imaging.resample import RESAMPLERS
from edgesam_rt.types import U8

SHAPES = [((48, 64), (96, 128)), ((300, 400), (77, 103)), ((133, 70), (40, 21)), ((9, 7), (9, 30))]


def noise(h: int, w: int) -> U8:
    return np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize(("old", "new"), SHAPES)
@pytest.mark.parametrize(
    ("name", "filter_name"), [("pil_bilinear", "BILINEAR"), ("pil_bicubic", "BICUBIC")]
)
def test_the_filters_are_pillows_to_a_grey_value(
    name: str, filter_name: str, old: tuple[int, int], new: tuple[int, int]
) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is what is compared with")
    pixels = noise(*old)
    made = RESAMPLERS[name](pixels, new)
    wanted = np.asarray(
        image.fromarray(pixels).resize(new[::-1], getattr(image.Resampling, filter_name))
    )
    apart = np.abs(made.astype(int) - wanted)
    assert made.shape == wanted.shape
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.02  # ties between two grey values


@pytest.mark.parametrize("name", sorted(RESAMPLERS))
def test_a_picture_of_one_colour_keeps_it(name: str) -> None:
    pixels = np.full((37, 61, 3), (3, 128, 255), np.uint8)
    made = RESAMPLERS[name](pixels, (20, 90))
    assert (made == np.array([3, 128, 255])).all()


def test_the_encoders_square_is_filled_by_the_filter_that_is_asked_for() -> None:
    pixels = noise(64, 40)
    fit = Fit.longest_side((64, 40), 32)
    made = to_encoder_input(pixels, fit, 9, resample="pil_bilinear")
    assert (made[:32, :20] == RESAMPLERS["pil_bilinear"](pixels, (32, 20))).all()
    assert (made[:, 20:] == 9).all()
