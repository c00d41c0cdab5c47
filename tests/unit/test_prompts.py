from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import PromptError, ShapeError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import PromptBatch, from_points, from_prompts
from edgesam_rt.records import Prompt
from edgesam_rt.types import F32

FIT = Fit.longest_side((300, 400), 512)
CELLS = 128

coordinate = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


@pytest.fixture(scope="module")
def facts(default_bundle: Bundle) -> DecoderFacts:
    """Of a decoder that takes the whole square."""
    return replace(default_bundle.manifest.decoder, cut_multiple=0)


def feeds_of(facts: DecoderFacts, *prompts: Prompt) -> PromptBatch:
    return from_prompts(prompts, FIT, facts)


def mask(value: float = 1.0, cells: int = CELLS) -> F32:
    return np.full((cells, cells), value, np.float32)


# What a prompt may be.


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_a_coordinate_that_is_no_finite_number_is_refused(bad: float, place: int) -> None:
    box = [10.0, 20.0, 30.0, 40.0]
    box[place] = bad
    with pytest.raises(PromptError, match="finite"):
        Prompt.box(*box)
    with pytest.raises(PromptError, match="finite"):
        Prompt.point(box[place // 2 * 2], box[place // 2 * 2 + 1])


def test_a_coordinate_too_large_for_the_engine_is_refused_without_a_warning() -> None:
    with pytest.raises(PromptError, match="finite"):
        Prompt.point(1e40, 5)


@pytest.mark.parametrize(
    "box",
    [(30, 20, 10, 40), (10, 40, 30, 20), (30, 40, 10, 20), (10, 20, 10, 40), (10, 20, 30, 20)],
)
def test_a_box_out_of_order_or_without_area_is_refused_with_its_numbers(
    box: tuple[int, int, int, int],
) -> None:
    with pytest.raises(PromptError, match=",".join(map(str, box))):
        Prompt.box(*box)


def test_the_corners_of_a_box_may_come_in_any_order_of_the_arrays() -> None:
    swapped = Prompt.points([[30, 40], [10, 20]], [3, 2])
    assert swapped.on_image((300, 400)).has_box


def test_two_boxes_are_no_prompt() -> None:
    with pytest.raises(PromptError, match="at most one box"):
        Prompt.box(1, 1, 5, 5) + Prompt.box(2, 2, 6, 6)


@pytest.mark.parametrize("label", [2, 3])
def test_a_corner_alone_is_no_box(label: int) -> None:
    with pytest.raises(PromptError, match="box"):
        Prompt.point(5, 5, label)


@pytest.mark.parametrize("label", [-1, 4, 99, -5])
def test_an_unknown_label_is_refused(label: int) -> None:
    with pytest.raises(PromptError, match=rf"labels are 1 .*got \[{label}\]"):
        Prompt.point(5, 5, label)


@pytest.mark.parametrize("label", [0.5, 1.5, math.nan])
def test_a_label_that_is_no_whole_number_is_refused(label: float) -> None:
    with pytest.raises(PromptError, match="labels are 1"):
        Prompt.points([[5, 5]], [label])


@pytest.mark.parametrize(("points", "labels"), [(1, 2), (2, 1), (0, 1), (1, 0)])
def test_as_many_labels_as_points_are_wanted(points: int, labels: int) -> None:
    with pytest.raises(PromptError, match=rf"{points} points but {labels} labels"):
        Prompt.points(np.ones((points, 2)), np.ones(labels))


@pytest.mark.parametrize("coords", [[1, 2, 3], [[1, 2, 3]], [[1], [2], [3]], [["a", "b"]]])
def test_coordinates_that_are_no_pairs_of_numbers_are_refused(coords: list[object]) -> None:
    with pytest.raises(PromptError):
        Prompt.points(coords, [1])  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (128,), (1, 128, 128), (1, 1, 128, 128)])
def test_a_mask_input_that_is_not_flat_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match="mask_input is .h, w."):
        Prompt.point(5, 5).with_mask(np.zeros(shape, np.float32))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_mask_input_with_numbers_that_are_none_is_refused(bad: float) -> None:
    logits = mask()
    logits[3, 4] = bad
    with pytest.raises(PromptError, match="finite"):
        Prompt.point(5, 5).with_mask(logits)


def test_a_mask_input_of_another_dtype_is_taken_as_float32(facts: DecoderFacts) -> None:
    asked = Prompt.point(5, 5).with_mask(mask().astype(np.float64))
    assert feeds_of(facts, asked).mask_input.dtype == np.float32


def test_a_prompt_keeps_its_numbers_when_the_callers_array_changes() -> None:
    coords, labels = np.array([[5, 6]], np.float32), np.array([1])
    prompt = Prompt.points(coords, labels)
    coords[:] = np.nan
    labels[:] = 0
    assert prompt.point_coords.tolist() == [[5, 6]]
    assert prompt.point_labels.tolist() == [1]


@given(coordinate, coordinate)
def test_a_point_keeps_its_coordinates(x: float, y: float) -> None:
    assert Prompt.point(x, y).point_coords.tolist() == [[x, y]]


def test_arrays_have_the_types_that_are_stated() -> None:
    prompt = Prompt.points([(5, 6), (7, 8)], (1, 0))
    assert prompt.point_coords.dtype == np.float32
    assert prompt.point_labels.dtype == np.int64
    assert prompt.point_coords.shape == (2, 2)


# Joining.


def test_joining_keeps_all_points_in_order() -> None:
    joined = Prompt.point(1, 2) + Prompt.point(3, 4, 0) + Prompt.box(0, 0, 9, 9)
    assert joined.point_coords.tolist() == [[1, 2], [3, 4], [0, 0], [9, 9]]
    assert joined.point_labels.tolist() == [1, 0, 2, 3]


def test_joining_changes_neither_part() -> None:
    point, box = Prompt.point(1, 2), Prompt.box(0, 0, 9, 9)
    _ = point + box
    assert (len(point.point_labels), len(box.point_labels)) == (1, 2)


def test_of_two_masks_the_later_one_counts() -> None:
    one, two = mask(1), mask(2)
    joined = Prompt.point(1, 2).with_mask(one) + Prompt.point(3, 4).with_mask(two)
    assert joined.mask_input is not None
    assert joined.mask_input[0, 0] == 2


def test_a_mask_survives_joining_with_a_prompt_that_has_none() -> None:
    joined = Prompt.point(1, 2).with_mask(mask(1)) + Prompt.point(3, 4)
    assert joined.mask_input is not None


def test_only_a_single_point_is_ambiguous() -> None:
    point = Prompt.point(5, 5)
    assert point.is_ambiguous
    others = [
        point + Prompt.point(6, 6),
        point + Prompt.point(6, 6, 0),
        point + Prompt.box(0, 0, 9, 9),
        point.with_mask(mask()),
        Prompt.box(0, 0, 9, 9),
        Prompt.point(5, 5, 0),
    ]
    assert not any(other.is_ambiguous for other in others)


# On a picture.


@pytest.mark.parametrize("xy", [(-0.1, 5), (5, -0.1), (400.1, 5), (5, 300.1), (300.5, 400)])
def test_a_point_outside_the_picture_is_refused_with_both(xy: tuple[float, float]) -> None:
    with pytest.raises(PromptError, match=rf"point {xy[0]:g},{xy[1]:g} lies outside the 400x300"):
        Prompt.point(*xy).on_image((300, 400))


@pytest.mark.parametrize("xy", [(0, 0), (400, 300), (0, 300), (399.9, 0.1)])
def test_a_point_on_the_rim_is_on_the_picture(xy: tuple[float, float]) -> None:
    assert Prompt.point(*xy).on_image((300, 400)).point_coords.tolist() == [pytest.approx(xy)]


def test_a_background_point_outside_the_picture_is_refused_too() -> None:
    with pytest.raises(PromptError, match="outside"):
        (Prompt.point(5, 5) + Prompt.point(500, 5, 0)).on_image((300, 400))


@pytest.mark.parametrize(
    "prompt",
    [Prompt.point(5, 5, 0), Prompt.points([[1, 1], [2, 2]], [0, 0]), Prompt.points([], [])],
    ids=["background", "two background", "nothing"],
)
def test_a_prompt_that_names_no_object_is_refused(prompt: Prompt) -> None:
    with pytest.raises(PromptError, match="foreground point, a box or a mask"):
        prompt.on_image((300, 400))


def test_a_mask_alone_names_an_object() -> None:
    assert Prompt.points([], []).with_mask(mask()).on_image((300, 400)).mask_input is not None


def test_a_background_point_beside_a_mask_is_a_prompt() -> None:
    Prompt.point(5, 5, 0).with_mask(mask()).on_image((300, 400))


def test_a_box_is_clipped_to_the_picture() -> None:
    clipped = Prompt.box(-50, 10, 1000, 2000).on_image((300, 400))
    assert clipped.point_coords.tolist() == [[0, 10], [400, 300]]


@pytest.mark.parametrize(
    "box",
    [
        (400, 10, 500, 20),
        (-9, 10, 0, 20),
        (10, 300, 20, 400),
        (10, -9, 20, 0),
        (500, 500, 600, 600),
    ],
)
def test_a_box_that_only_touches_the_picture_is_outside(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(PromptError, match="outside the 400x300 picture"):
        Prompt.box(*box).on_image((300, 400))


@given(st.lists(coordinate, min_size=4, max_size=4))
def test_a_clipped_box_has_an_area_and_lies_on_the_picture(values: list[float]) -> None:
    x, y = sorted(values[:2]), sorted(values[2:])
    try:
        placed = Prompt.box(x[0], y[0], x[1], y[1]).on_image((300, 400)).point_coords
    except PromptError:
        return
    assert (placed[0] < placed[1]).all()
    assert (placed >= 0).all()
    assert (placed <= [400, 300]).all()


# As the decoder takes them.


def test_prompts_are_padded_to_the_longest_with_label_minus_one(facts: DecoderFacts) -> None:
    batch = feeds_of(facts, Prompt.point(8, 16), Prompt.point(8, 8) + Prompt.box(0, 0, 40, 40))
    assert batch.point_labels.tolist() == [[1, -1, -1], [1, 2, 3]]
    assert batch.point_coords.shape == (2, 3, 2)
    assert len(batch) == 2


def test_coordinates_are_shares_of_the_encoders_side(facts: DecoderFacts) -> None:
    batch = feeds_of(facts, Prompt.point(400, 150))
    assert batch.point_coords[0, 0].tolist() == pytest.approx([1.0, 0.375])


def test_a_family_that_counts_in_pixels_gets_pixels(facts: DecoderFacts) -> None:

    pixels = replace(facts, coordinates="pixels", prompt_side=1024)
    batch = feeds_of(pixels, Prompt.point(400, 150))
    assert batch.point_coords[0, 0].tolist() == pytest.approx([1024.0, 384.0])


def test_a_family_that_wants_a_padding_point_gets_one_where_there_is_no_box(
    facts: DecoderFacts,
) -> None:

    sam = replace(facts, padding_point=True)
    assert feeds_of(sam, Prompt.point(9, 9)).point_labels.tolist() == [[1, -1]]
    assert feeds_of(sam, Prompt.box(0, 0, 9, 9)).point_labels.tolist() == [[2, 3]]
    assert from_points(np.ones((3, 2), np.float32), FIT, sam).point_labels.tolist() == [[1, -1]] * 3


def test_a_box_stands_behind_the_points_whatever_was_joined_first(facts: DecoderFacts) -> None:
    batch = feeds_of(facts, Prompt.box(0, 0, 40, 40) + Prompt.point(8, 16) + Prompt.point(9, 9, 0))
    assert batch.point_labels.tolist() == [[1, 0, 2, 3]]
    assert batch.point_coords[0, 0].tolist() == pytest.approx([8 / 400, 16 / 400])


def test_without_masks_one_empty_mask_serves_all(facts: DecoderFacts) -> None:
    batch = feeds_of(facts, *[Prompt.point(5, 5)] * 7)
    assert batch.mask_input.shape == (1, 1, CELLS, CELLS)
    assert batch.has_mask_input.tolist() == [[0.0]] * 7


def test_a_mask_stands_in_the_row_of_its_prompt(facts: DecoderFacts) -> None:
    point = Prompt.point(5, 5)
    batch = feeds_of(facts, point, point.with_mask(mask(3)), point)
    assert batch.has_mask_input.ravel().tolist() == [0, 1, 0]
    assert batch.mask_input[:, 0, 0, 0].tolist() == [0, 3, 0]


def test_more_points_than_the_decoder_takes_are_refused_with_both_numbers(
    facts: DecoderFacts,
) -> None:
    most = facts.points_per_prompt
    many = Prompt.points(np.full((most + 1, 2), 5.0), np.ones(most + 1))
    with pytest.raises(PromptError, match=rf"{most + 1} points .* takes {most}"):
        feeds_of(facts, Prompt.point(1, 1), many)


def test_as_many_points_as_the_decoder_takes_are_taken(facts: DecoderFacts) -> None:
    most = facts.points_per_prompt
    batch = feeds_of(facts, Prompt.points(np.full((most, 2), 5.0), np.ones(most)))
    assert batch.point_labels.shape == (1, most)


@pytest.mark.parametrize("cells", [64, 96, 129, 1])
def test_a_mask_of_another_side_is_refused_with_both_sizes(facts: DecoderFacts, cells: int) -> None:
    asked = Prompt.point(5, 5).with_mask(mask(1, cells))
    with pytest.raises(ShapeError, match=rf"expected .128, 128. .* got .{cells}, {cells}."):
        feeds_of(facts, asked)


def test_masks_of_a_cut_embedding_have_the_pictures_shape(facts: DecoderFacts) -> None:
    cut = replace(facts, cut_multiple=32)
    rows = FIT.covered(32)[0] // facts.mask_stride
    assert rows < CELLS
    batch = feeds_of(cut, Prompt.point(5, 5).with_mask(mask(1)[:rows]))
    assert batch.mask_input.shape == (1, 1, rows, CELLS)
    with pytest.raises(ShapeError, match=rf"expected .{rows}, {CELLS}. .* got .{CELLS}, {CELLS}."):
        feeds_of(cut, Prompt.point(5, 5).with_mask(mask(1)))


def test_a_point_of_the_grid_is_fed_as_a_prompt_of_its_own_is(facts: DecoderFacts) -> None:
    points = np.array([[5, 6], [399, 1], [0.5, 299.5]], np.float32)
    grid = from_points(points, FIT, facts)
    alone = feeds_of(facts, *[Prompt.point(*p) for p in points.tolist()])
    for name in ("point_coords", "point_labels", "mask_input", "has_mask_input", "ambiguous"):
        assert np.array_equal(getattr(grid, name), getattr(alone, name)), name


def test_a_part_of_a_batch_is_the_batch_of_the_part(facts: DecoderFacts) -> None:
    point = Prompt.point(5, 5)
    prompts = [point, point.with_mask(mask(3)), Prompt.box(1, 1, 9, 9), point]
    whole, part = feeds_of(facts, *prompts), feeds_of(facts, *prompts[1:3])
    for name in ("point_coords", "point_labels", "mask_input", "has_mask_input", "ambiguous"):
        assert np.array_equal(getattr(whole[1:3], name), getattr(part, name)), name
