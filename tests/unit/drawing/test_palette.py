from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgesam_rt.drawing.palette import DARK, WHITE, colour, ink_on

# What is left of red, green and blue light.
# Source: Machado, Oliveira and Fernandes 2009, severity 1.
DEUTERANOPIA = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
PROTANOPIA = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]


def luminance(rgb: tuple[int, int, int]) -> float:
    """WCAG's relative luminance."""
    parts = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def test_an_object_keeps_its_colour() -> None:
    assert [colour(i) for i in range(1, 200)] == [colour(i) for i in range(1, 200)]


def test_the_first_hundred_objects_have_hundred_colours() -> None:
    assert len({colour(i) for i in range(1, 101)}) == 100


def test_objects_near_each_other_in_number_differ_clearly() -> None:
    for a in range(1, 100):
        for b in range(a + 1, a + 7):
            assert np.abs(np.subtract(colour(a), colour(b))).sum() >= 50, (a, b)


@pytest.mark.parametrize("seen", [DEUTERANOPIA, PROTANOPIA])
def test_the_first_seven_can_be_told_apart_without_red_or_green(seen: list[list[float]]) -> None:
    linear = ((np.array([colour(i) for i in range(1, 8)]) / 255 + 0.055) / 1.055) ** 2.4
    left = np.clip(linear @ np.array(seen).T, 0, 1) ** (1 / 2.4) * 255
    for a, b in itertools.combinations(left, 2):
        assert np.abs(a - b).sum() > 60


def test_any_id_has_a_colour() -> None:
    for object_id in (0, -5, 10**12):
        assert all(0 <= v <= 255 for v in colour(object_id))


def test_ink_reads_on_every_colour() -> None:
    for object_id in range(1, 300):
        ground = colour(object_id)
        light, dark = sorted((luminance(ground), luminance(ink_on(ground))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.9, object_id
    assert ink_on((255, 255, 255)) == DARK
    assert ink_on((0, 0, 0)) == WHITE
