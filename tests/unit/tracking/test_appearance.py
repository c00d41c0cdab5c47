from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.tracking.appearance import Looks, cosine, moments, pooled, scores
from edgesam_rt.types import F32
from tests.unit.tracking.grids import make_cells, two_kinds

HW = (12, 16)


def a_square(top: int = 3, left: int = 5, side: int = 4) -> F32:
    inside = np.zeros(HW, np.float32)
    inside[top : top + side, left : left + side] = 1
    return inside


def looks_of(inside: F32, **how: int) -> Looks:
    return Looks(moments(two_kinds(inside, **how), inside))


def test_the_token_finds_the_object_at_another_place() -> None:
    looks = looks_of(a_square())
    moved = a_square(top=7, left=11)
    found = scores(two_kinds(moved, seed=1), [looks.token])[0]
    assert ((found > 0) == (moved > 0)).mean() > 0.98


def test_the_token_is_the_ridge_regression_of_the_cells() -> None:
    inside = a_square()
    cells = two_kinds(inside)
    made = moments(cells, inside)
    cover = inside.ravel().astype(np.float64)
    weight = np.where(cover > 0, 0.5 / cover.sum(), 0.5 / (1 - cover).sum())
    x = cells.features.astype(np.float64)
    assert np.allclose(made.second, (x.T * weight) @ x, atol=1e-5)
    assert np.allclose(made.contrast, x.T @ (weight * (2 * cover - 1)), atol=1e-5)


def test_what_was_prompted_is_never_forgotten() -> None:
    inside = a_square()
    looks = looks_of(inside)
    for seed in range(200):
        looks.learn(moments(two_kinds(inside, seed, kinds=1), inside))
    first, last = two_kinds(inside, 5), two_kinds(inside, 5, kinds=1)
    for cells in (first, last):
        found = scores(cells, [looks.token])[0]
        assert ((found > 0) == (inside > 0)).mean() > 0.95
        assert looks.likeness(pooled(cells, inside)) > 0.95


def test_another_thing_is_less_alike() -> None:
    inside = a_square()
    looks = looks_of(inside)
    other = two_kinds(inside, 3, kinds=1)
    assert looks.likeness(pooled(other, inside)) < 0.7
    assert looks.likeness(pooled(two_kinds(inside, 3), 1 - inside)) < 0.7


@pytest.mark.parametrize("cover", [0.0, 1.0])
def test_a_mask_of_nothing_or_all_gives_numbers(cover: float) -> None:
    inside = np.full(HW, cover, np.float32)
    looks = Looks(moments(two_kinds(a_square()), inside))
    assert np.isfinite(looks.token).all()


def test_cells_of_one_kind_give_numbers() -> None:
    cells = make_cells(np.ones((*HW, 3), np.float32))
    assert np.isfinite(Looks(moments(cells, a_square())).token).all()


def test_nothing_is_like_nothing() -> None:
    assert cosine(np.zeros(4, np.float32), np.ones(4, np.float32)) == 0.0
    assert cosine(np.ones(4, np.float32), np.ones(4, np.float32)) == pytest.approx(1.0)
