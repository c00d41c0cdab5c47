from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.errors import ShapeError
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.records import MaskSet, check_image
from edgesam_rt.types import F32, U8, Bool

CELLS = 64
SIDE = 256
SIZES = [(48, 64), (64, 48), (50, 50), (1, 1), (1, 90), (300, 2), (97, 31)]


def blobs(k: int, seed: int = 0) -> F32:
    """(k, CELLS, CELLS) logits, each with some soft discs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:CELLS, :CELLS] / CELLS
    out = np.full((k, CELLS, CELLS), -4.0)
    for plane in out:
        for _ in range(3):
            cy, cx, r = *rng.random(2), rng.uniform(0.08, 0.3)
            np.maximum(plane, 4 - 8 * np.hypot(y - cy, x - cx) / r, out=plane)
    return out.astype(np.float32)


def make(k: int = 4, image_hw: tuple[int, int] = (48, 64), seed: int = 0) -> MaskSet:
    return MaskSet(
        blobs(k, seed),
        np.linspace(0.9, 0.1, k).astype(np.float32),
        Fit.longest_side(image_hw, SIDE),
        point_coords=np.arange(2 * k, dtype=np.float32).reshape(k, 2),
        stability_offset=1.0,
    )


@pytest.fixture
def found() -> MaskSet:
    return make()


# MaskSet


def test_the_length_is_the_number_of_masks(found: MaskSet) -> None:
    assert len(found) == 4


@pytest.mark.parametrize("image_hw", SIZES)
def test_masks_are_bool_and_as_large_as_the_picture(image_hw: tuple[int, int]) -> None:
    masks = make(3, image_hw).masks
    assert masks.shape == (3, *image_hw)
    assert masks.dtype == np.bool_


def test_one_by_one_gives_the_same_masks(found: MaskSet) -> None:
    assert np.array_equal(np.stack(list(found.each_mask())), found.masks)


@pytest.mark.parametrize("image_hw", SIZES)
def test_areas_count_the_pixels(image_hw: tuple[int, int]) -> None:
    found = make(5, image_hw)
    assert found.areas.tolist() == found.masks.sum((1, 2)).tolist()


@pytest.mark.parametrize("image_hw", SIZES)
def test_boxes_hold_the_pixels_right_and_bottom_exclusive(image_hw: tuple[int, int]) -> None:
    found = make(5, image_hw, seed=3)
    for mask, box in zip(found.masks, found.boxes_xyxy.tolist(), strict=True):
        y, x = np.nonzero(mask)
        expected = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(y) else [0, 0, 0, 0]
        assert box == expected


@pytest.mark.parametrize("image_hw", SIZES)
def test_the_run_lengths_are_those_of_pycocotools(image_hw: tuple[int, int]) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    found = make(4, image_hw, seed=1)
    for mask, ours in zip(found.masks, found.rle(), strict=True):
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert ours == {"size": theirs["size"], "counts": theirs["counts"].decode()}


def test_the_run_lengths_are_plain_data_for_json(found: MaskSet) -> None:
    row = found.rle()[0]
    assert [type(v) for v in row["size"]] == [int, int]  # type: ignore[attr-defined]
    assert type(row["counts"]) is str


def test_it_does_not_matter_whether_masks_or_runs_are_asked_for_first() -> None:
    runs_first, masks_first = make(), make()
    _ = runs_first.runs, masks_first.masks
    assert np.array_equal(runs_first.masks, masks_first.masks)
    assert runs_first.rle() == masks_first.rle()


def filled(mask: Bool) -> Bool:
    """A mask with its holes filled: what cannot be reached from outside."""
    grown = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(grown, None, (0, 0), (2,), flags=4)
    return np.asarray(grown[1:-1, 1:-1] != 2)


@pytest.mark.parametrize("image_hw", [(48, 64), (64, 48), (97, 31)])
def test_polygons_enclose_the_mask_with_its_holes_filled(image_hw: tuple[int, int]) -> None:
    found = make(4, image_hw, seed=2)
    for mask, lines in zip(found.masks, found.polygons(), strict=True):
        drawn = np.zeros(image_hw, np.uint8)
        for line in lines:
            cv2.fillPoly(drawn, [np.round(line - 0.5).astype(np.int32)], (1,))
        assert np.array_equal(drawn.astype(np.bool_), filled(mask))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [3]),
        (np.int64(2), [2]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        (np.array([3, 0, 3]), [3, 0, 3]),
        (np.array([True, False, False, True]), [0, 3]),
        (np.zeros(0, np.int64), []),
        (slice(2, 2), []),
    ],
    ids=str,
)
def test_a_part_is_a_mask_set_with_all_that_belongs_to_it(
    found: MaskSet, index: int, rows: list[int]
) -> None:
    part = found[index]
    assert len(part) == len(rows)
    for name in ("low_res_logits", "predicted_iou", "point_coords", "stability_score", "masks"):
        assert np.array_equal(getattr(part, name), getattr(found, name)[rows]), name
    assert part.fit == found.fit


def test_the_threshold_stays_with_a_part() -> None:
    found = MaskSet(blobs(2), np.ones(2, np.float32), Fit.longest_side((48, 64), SIDE), 2.5)
    assert found[0].mask_threshold == 2.5
    assert np.array_equal(found[0].masks[0], found.masks[0])


def test_a_part_of_a_set_without_points_has_none() -> None:
    found = MaskSet(blobs(3), np.ones(3, np.float32), Fit.longest_side((48, 64), SIDE))
    assert found[1:].point_coords.shape == (0, 2)


@pytest.mark.parametrize("index", [4, -5])
def test_an_index_too_far_is_an_index_error(found: MaskSet, index: int) -> None:
    with pytest.raises(IndexError):
        found[index]


def test_a_loop_gives_every_mask_once(found: MaskSet) -> None:
    assert [float(one.predicted_iou[0]) for one in found] == found.predicted_iou.tolist()  # type: ignore[attr-defined]


def test_an_empty_set_has_empty_answers() -> None:
    empty = make(0)
    assert len(empty) == 0
    assert empty.masks.shape == (0, 48, 64)
    assert empty.areas.shape == (0,)
    assert empty.areas.dtype == np.int64
    assert empty.boxes_xyxy.shape == (0, 4)
    assert empty.rle() == []
    assert empty.polygons() == []


def test_an_empty_mask_has_no_area_no_box_and_no_outline() -> None:
    nothing = np.full((1, CELLS, CELLS), -9.0, np.float32)
    found = MaskSet(nothing, np.ones(1, np.float32), Fit.longest_side((48, 64), SIDE))
    assert found.areas.tolist() == [0]
    assert found.boxes_xyxy.tolist() == [[0, 0, 0, 0]]
    assert found.polygons() == [[]]


@pytest.mark.parametrize(("logits", "scores"), [((2, 8, 8), (3,)), ((8, 8), (8,)), ((2, 8, 8), ())])
def test_numbers_that_do_not_agree_are_refused(
    logits: tuple[int, ...], scores: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match=r"expected \(K, h, w\) logits and \(K,\)"):
        MaskSet(np.zeros(logits, np.float32), np.zeros(scores, np.float32), Fit((8, 8), 8, (8, 8)))


def test_masks_of_a_large_set_are_not_made_before_they_are_asked_for() -> None:
    fit = Fit.longest_side((12_000, 12_000), SIDE)  # 144 MB a mask
    found = MaskSet(blobs(200), np.ones(200, np.float32), fit)
    assert len(found[3:5]) == 2


# check_image


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5, 1), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((4, 5, 3), np.uint16),
        np.zeros((4, 5, 3), np.int8),
    ],
    ids=lambda p: f"{p.shape} {p.dtype}",
)
def test_what_is_no_picture_is_refused_with_what_it_is(pixels: U8) -> None:
    with pytest.raises(ShapeError, match="read_image") as caught:
        check_image(pixels)
    assert f"got {pixels.shape} {pixels.dtype}" in str(caught.value)


# Fit

extent = st.integers(1, 12_000)
sides = st.sampled_from([64, 320, 384, 512, 1024])


@given(
    extent,
    extent,
    sides,
    st.floats(0, 1, allow_subnormal=False),
    st.floats(0, 1, allow_subnormal=False),
)
def test_a_point_comes_back_within_half_a_pixel(
    h: int, w: int, side: int, x: float, y: float
) -> None:
    fit = Fit.longest_side((h, w), side)
    point = np.array([x * w, y * h], np.float32)
    assert np.abs(fit.from_unit(fit.to_unit(point)) - point).max() < 0.5


@given(extent, extent, sides)
def test_the_picture_lies_within_the_square(h: int, w: int, side: int) -> None:
    fit = Fit.longest_side((h, w), side)
    assert max(fit.scaled_hw) == side
    assert min(fit.scaled_hw) >= 1
    corners = fit.to_unit(np.array([[0, 0], [w, h]], np.float32))
    assert corners[0].tolist() == [0, 0]
    assert (corners[1] <= 1 + 1e-6).all()
    assert corners[1].max() == pytest.approx(1)


@given(extent, extent, sides)
def test_the_shape_of_the_picture_is_kept_to_half_a_pixel(h: int, w: int, side: int) -> None:
    fit = Fit.longest_side((h, w), side)
    scale = side / max(h, w)
    for scaled, full in zip(fit.scaled_hw, (h, w), strict=True):
        assert abs(scaled - full * scale) <= 0.5 or scaled == 1


@given(st.integers(40, 900), st.integers(40, 900), st.data())
@settings(max_examples=40, deadline=None)
def test_prompts_and_masks_agree_on_where_a_place_is(h: int, w: int, data: st.DataObject) -> None:
    """A blob put where a prompt lands must come out of the mask where the prompt was."""
    fit = Fit.longest_side((h, w), SIDE)
    at = [data.draw(st.integers(n // 4, n - n // 4)) + 0.5 for n in (w, h)]
    cell = fit.to_unit(np.array(at, np.float32)) * CELLS
    y, x = np.mgrid[:CELLS, :CELLS] + 0.5
    logits = (3 - np.hypot(x - cell[0], y - cell[1])).astype(np.float32)
    (mask,) = MaskSet(logits[None], np.ones(1, np.float32), fit).masks
    ys, xs = np.nonzero(mask)
    pixels_per_cell = max(h, w) / CELLS
    if 4 * pixels_per_cell > min(at[0], at[1], w - at[0], h - at[1]):
        return  # the blob leaves the picture
    assert abs(xs.mean() + 0.5 - at[0]) < 0.5 + 0.25 * pixels_per_cell
    assert abs(ys.mean() + 0.5 - at[1]) < 0.5 + 0.25 * pixels_per_cell


# to_encoder_input


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 700), (700, 1), (3000, 2), (2, 3000), (511, 512)])
@pytest.mark.parametrize("side", [384, 512])
def test_a_picture_of_any_shape_fills_its_part_and_padding_the_rest(
    image_hw: tuple[int, int], side: int
) -> None:
    fit = Fit.longest_side(image_hw, side)
    square = to_encoder_input(np.full((*image_hw, 3), 200, np.uint8), fit, 127)
    assert square.shape == (side, side, 3)
    assert square.dtype == np.uint8
    sh, sw = fit.scaled_hw
    assert (square[:sh, :sw] == 200).all()
    assert (square[sh:] == 127).all()
    assert (square[:, sw:] == 127).all()


def test_a_picture_of_the_encoders_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    square = to_encoder_input(pixels, Fit.longest_side((256, 256), 256), 0)
    assert np.array_equal(square, pixels)
    assert not np.shares_memory(square, pixels)


def test_a_fine_pattern_is_averaged_and_not_sampled() -> None:
    pixels = np.zeros((1024, 1024, 3), np.uint8)
    pixels[::2] = 255
    square = to_encoder_input(pixels, Fit.longest_side((1024, 1024), 256), 0)
    assert abs(square.astype(int) - 128).max() <= 1


def test_channels_keep_their_order() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:] = (10, 100, 200)
    square = to_encoder_input(pixels, Fit.longest_side((30, 40), 64), 0)
    assert square[0, 0].tolist() == [10, 100, 200]


def test_a_given_array_is_filled_whatever_was_in_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    fit = Fit.longest_side((50, 80), 128)
    out = np.full((128, 128, 3), 77, np.uint8)
    assert to_encoder_input(pixels, fit, 127, out) is out
    assert np.array_equal(out, to_encoder_input(pixels, fit, 127))


@pytest.mark.parametrize(
    "view",
    [np.s_[:, ::-1], np.s_[::-1], np.s_[..., ::-1], np.s_[::2, 1::3]],
    ids=["mirrored", "upside down", "BGR", "every second"],
)
def test_a_view_of_an_array_is_read_like_a_copy(view: tuple[slice, ...]) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    part = whole[view]
    fit = Fit.longest_side((part.shape[0], part.shape[1]), 64)
    assert np.array_equal(to_encoder_input(part, fit, 0), to_encoder_input(part.copy(), fit, 0))
