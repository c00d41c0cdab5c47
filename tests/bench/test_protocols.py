from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.bench.protocols import (
    REFERENCE_AREA,
    ObjectScore,
    calibration_error,
    deepest,
    difference,
    iou,
    judge,
    next_click,
    summary,
    tight_box,
)
from edgesam_rt.records import BACKGROUND, FOREGROUND, Prompt
from edgesam_rt.types import Bool
from tests.bench.toys import SIDE, Toy, disc, knows, maskset

OBJECTS = [disc(16, 16, 9), disc(45, 40, 12), disc(12, 52, 5)]
CHOICES = (1, 2, 3)


def score(area: float, value: float) -> ObjectScore:
    return ObjectScore(area, value, value, value, value, value)


def test_a_perfect_predictor_scores_one_in_every_protocol() -> None:
    for found in judge(Toy(knows(OBJECTS), score=1.0), OBJECTS, CHOICES):
        assert found[1:] == (1, 1, 1, 1, 1)


def test_an_empty_answer_scores_nothing() -> None:
    toy = Toy(lambda prompt: np.zeros((SIDE, SIDE), np.bool_), score=0.25)
    for found in judge(toy, OBJECTS, CHOICES):
        assert found[1:] == (0, 0, 0, 0, 0.25)


def test_the_best_candidate_is_looked_for_among_the_answers_to_an_ambiguous_point_only() -> None:
    toy = Toy(knows(OBJECTS))  # its candidates 0 and 3 are right
    assert judge(toy, OBJECTS, (1, 2))[0].point_best == 0
    assert judge(toy, OBJECTS, (1, 2, 3))[0].point_best == 1


def test_the_score_error_is_that_of_the_chosen_answer() -> None:
    assert judge(Toy(knows(OBJECTS), score=0.75), OBJECTS, CHOICES)[0].score_error == 0.25


def test_scores_that_promise_too_much_are_off_by_that_much() -> None:
    reached = np.linspace(0.05, 0.75, 40)
    assert calibration_error(reached, reached) == 0
    assert calibration_error(reached + 0.2, reached) == pytest.approx(0.2)
    noise = np.array([0.1, -0.1] * 20)  # right on the average of each bin
    assert calibration_error(np.full(40, 0.55), 0.55 + noise) == pytest.approx(0, abs=1e-9)


def test_every_protocol_asks_what_its_name_says() -> None:
    toy = Toy(knows(OBJECTS[:1]))
    judge(toy, OBJECTS[:1], CHOICES)
    box, point, candidates, second, third = toy.asked
    assert box.point_coords.tolist() == [[7, 7], [25, 25]]
    assert point.point_coords.tolist() == candidates.point_coords.tolist() == [[15.5, 15.5]]
    assert [len(p.point_labels) for p in (point, second, third)] == [1, 2, 3]
    assert point.mask_input is None
    for prompt in (second, third):
        assert prompt.mask_input is not None
        assert prompt.mask_input.shape == (SIDE, SIDE)


def test_areas_are_those_of_a_photo_of_the_reference_size() -> None:
    half = np.zeros((10, 20), np.bool_)
    half[:, :10] = True
    (found,) = judge(Toy(lambda prompt: half), [half], CHOICES)
    assert found.area == REFERENCE_AREA / 2


def test_the_second_click_lands_in_the_larger_error() -> None:
    truth = disc(20, 32, 14)
    missing_a_bit = truth & ~disc(14, 32, 3)
    too_much = missing_a_bit | disc(50, 32, 8)
    x, y, label = next_click(too_much, truth)
    assert label == BACKGROUND
    assert disc(50, 32, 2)[int(y), int(x)]
    x, y, label = next_click(missing_a_bit, truth)
    assert label == FOREGROUND
    assert disc(14, 32, 2)[int(y), int(x)]


def test_the_deeper_error_is_the_larger_one_whatever_its_area() -> None:
    truth = disc(16, 16, 9)
    thin_but_long = np.zeros_like(truth)
    thin_but_long[40:43] = True
    assert thin_but_long.sum() > disc(16, 16, 4).sum()
    assert next_click((truth & ~disc(16, 16, 4)) | thin_but_long, truth)[2] == FOREGROUND


def test_a_mask_without_error_gets_another_click_into_the_object() -> None:
    x, y, label = next_click(OBJECTS[0], OBJECTS[0])
    assert label == FOREGROUND
    assert OBJECTS[0][int(y), int(x)]


def test_clicks_repair_what_a_point_got_wrong() -> None:
    truth = OBJECTS[0]
    toy = Toy(lambda p: truth if len(p.point_labels) > 1 or p.has_box else disc(16, 16, 5))
    (found,) = judge(toy, [truth], CHOICES)
    assert found.point < 0.5
    assert found.clicks == 1


@st.composite
def blobs(draw: st.DrawFn) -> Bool:
    cells = draw(st.lists(st.booleans(), min_size=30, max_size=30))
    mask = np.kron(np.array(cells).reshape(5, 6), np.ones((4, 3), np.bool_))
    mask[draw(st.integers(0, 19)), draw(st.integers(0, 17))] = True
    return mask.astype(np.bool_)


@settings(deadline=None)
@given(blobs())
def test_the_deepest_pixel_is_inside_and_none_is_much_deeper(mask: Bool) -> None:
    x, y, _ = deepest(mask)
    assert (x % 1, y % 1) == (0.5, 0.5)
    outside = np.argwhere(~np.pad(mask, 1)) - 1

    def depth(row: int, column: int) -> float:
        return float(np.hypot(*(outside - (row, column)).T).min())

    assert mask[int(y), int(x)]
    most = max(depth(*at) for at in np.argwhere(mask).tolist())
    assert depth(int(y), int(x)) >= 0.94 * most  # OpenCV's distances are good to a few percent


def test_the_deepest_pixel_of_nothing_has_no_depth() -> None:
    assert deepest(np.zeros((4, 4), np.bool_)).depth == 0


def test_a_tight_box_touches_the_mask_on_all_sides() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[3:9, 5:17] = True
    assert tight_box(mask).point_coords.tolist() == [[5, 3], [17, 9]]


def test_iou_of_two_empty_masks_is_zero() -> None:
    empty = np.zeros((4, 4), np.bool_)
    assert iou(empty, empty) == 0
    assert iou(~empty, empty) == 0
    assert iou(~empty, ~empty) == 1


def test_the_summary_sorts_objects_by_size() -> None:
    found = summary([score(100, 0.2), score(2000, 0.4), score(10_000, 0.6), score(20_000, 0.8)])
    assert {size: row["objects"] for size, row in found.items()} == {
        "all": 4,
        "small": 1,
        "medium": 1,
        "large": 2,
    }
    assert found["all"]["box"] == pytest.approx(0.5)
    assert found["large"]["clicks"] == pytest.approx(0.7)


def test_a_size_without_objects_has_no_figures() -> None:
    assert summary([score(100, 0.2)])["large"] == {"objects": 0}


def test_a_difference_is_in_points_with_its_standard_error() -> None:
    ours, theirs = [score(1, 0.5), score(1, 0.7)], [score(1, 0.6), score(1, 0.6)]
    assert difference(ours, theirs)["box"] == {"points": 0.0, "standard_error": 10.0}
    assert difference(theirs, theirs)["clicks"] == {"points": 0.0, "standard_error": 0.0}


def test_a_toy_maskset_gives_its_masks_back() -> None:
    prompt = Prompt.point(16, 16)
    assert (Toy(knows(OBJECTS))([prompt])[0].masks[0] == OBJECTS[0]).all()
    assert (maskset(OBJECTS, [0.1, 0.2, 0.3]).masks == np.stack(OBJECTS)).all()
