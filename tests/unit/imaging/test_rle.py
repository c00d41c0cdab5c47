from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.errors import ConfigError, ShapeError
from edgesam_rt.imaging import rle
from edgesam_rt.types import Bool


@st.composite
def masks(draw: st.DrawFn) -> Bool:
    """Empty, full, sparse, dense and blocky masks; one row or column, too."""
    h, w = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    density = draw(st.sampled_from([0.0, 0.03, 0.5, 0.97, 1.0]))
    block = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells = rng.random((-(-h // block), -(-w // block))) < density
    return np.ascontiguousarray(np.kron(cells, np.ones((block, block), np.bool_))[:h, :w])


@given(masks())
def test_decoding_gives_the_mask_back(mask: Bool) -> None:
    runs = rle.run_lengths(mask)
    assert np.array_equal(rle.from_runs(runs, mask.shape), mask)
    assert runs.sum() == mask.size
    assert (runs[1:] > 0).all()


@given(masks())
def test_the_text_is_that_of_pycocotools(mask: Bool) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert rle.compress(rle.run_lengths(mask)) == expected


@given(masks())
def test_decompressing_gives_the_runs_back(mask: Bool) -> None:
    runs = rle.run_lengths(mask)
    assert np.array_equal(rle.decompress(rle.compress(runs)), runs)


@given(masks())
def test_the_box_holds_all_pixels_and_no_more(mask: Bool) -> None:
    box = rle.runs_to_box(rle.run_lengths(mask), mask.shape)
    if not mask.any():
        assert box == (0, 0, 0, 0)
        return
    y, x = np.nonzero(mask)
    assert box == (x.min(), y.min(), x.max() + 1, y.max() + 1)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=30))
def test_large_values_survive_the_text(values: list[int]) -> None:
    runs = np.array(values, np.int64)
    assert np.array_equal(rle.decompress(rle.compress(runs)), runs)


def test_an_empty_mask_is_one_run_and_a_full_one_two() -> None:
    assert rle.run_lengths(np.zeros((3, 5), np.bool_)).tolist() == [15]
    assert rle.run_lengths(np.ones((3, 5), np.bool_)).tolist() == [0, 15]


def test_runs_count_down_the_columns() -> None:
    mask = np.array([[0, 1], [1, 1], [0, 0]], np.bool_)
    assert rle.run_lengths(mask).tolist() == [1, 1, 1, 2, 1]


def test_no_runs_are_an_empty_text() -> None:
    assert rle.compress(np.zeros(0, np.int64)) == ""
    assert rle.decompress("").tolist() == []


def test_runs_of_another_picture_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"add up to 3 \* 5 = 15 px, got a sum of 16"):
        rle.from_runs(np.array([16]), (3, 5))
    with pytest.raises(ShapeError, match="0 or more"):
        rle.from_runs(np.array([20, -5]), (3, 5))


@pytest.mark.parametrize(
    "text",
    ["P" * 40, "\n", "x x", "é", "o", "0o", "O", "P" * 12 + "0"],
    ids=["endless", "newline", "space", "accent", "no end", "no end later", "negative", "too long"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a compressed COCO run-length text"):
        rle.decompress(text)


def test_a_camera_frame_costs_well_under_a_millisecond() -> None:
    y, x = np.mgrid[:480, :640]
    mask = ((y - 240) / 150) ** 2 + ((x - 300) / 200) ** 2 < 1
    times = []
    for _ in range(30):
        start = time.perf_counter()
        runs = rle.run_lengths(mask)
        rle.runs_to_box(runs, mask.shape)
        rle.compress(runs)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.003  # 0.25 ms on a desktop; wide, for slow and busy machines
