from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.masks import to_image
from edgesam_rt.imaging.parts import draw_part

SIDE = 64
sides = st.integers(1, 150)
places = st.tuples(*[st.floats(-20, 170, allow_nan=False)] * 4)


@settings(max_examples=150, deadline=None)
@given(hw=st.tuples(sides, sides), box=places, seed=st.integers(0, 9))
def test_a_part_is_the_whole_mask_within_its_box(
    hw: tuple[int, int], box: tuple[float, float, float, float], seed: int
) -> None:
    fit = Fit.longest_side(hw, SIDE)
    rows, columns = (n // 4 for n in fit.covered(4))
    logits = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    made = np.zeros(hw, np.bool_)
    draw_part(made, logits, np.array(box, np.float32), fit, 0.1)
    y, x = np.mgrid[: hw[0], : hw[1]] + 0.5
    x0, y0, x1, y1 = np.array(box, np.float32)
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    assert not made[~inside].any()
    assert ((made ^ to_image(logits, fit, 0.1)) & inside).sum() <= 1  # a tie that floats decide


def test_parts_of_one_mask_add_up() -> None:
    fit = Fit.longest_side((40, 60), SIDE)
    logits = np.ones((11, 16), np.float32)
    made = np.zeros((40, 60), np.bool_)
    for box in ([0, 0, 10, 10], [5, 5, 20, 12], [30, 30, 30, 40], [50, 35, 99, 99]):
        draw_part(made, logits, np.array(box, np.float32), fit, 0.0)
    wanted = np.zeros((40, 60), np.bool_)
    wanted[:10, :10] = wanted[5:12, 5:20] = wanted[35:, 50:] = True
    assert (made == wanted).all()


def test_a_large_part_is_drawn_in_bands_without_seams() -> None:
    fit = Fit.longest_side((1500, 2000), SIDE)
    logits = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    made = np.zeros((1500, 2000), np.bool_)
    draw_part(made, logits, np.array([0, 0, 2000, 1500], np.float32), fit, 0.0)
    assert (made ^ to_image(logits, fit, 0.0)).mean() < 1e-5
