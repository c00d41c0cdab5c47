"""Choosing boxes among those that a network gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.imaging.boxes import choose_boxes
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.manifest import BoxFacts
from edgesam_rt.types import F32

RULES = BoxFacts(score_thresh=0.1, nms_thresh=0.6, max_boxes=50, chosen_on="nothing"), 400


def many(count: int = 300) -> tuple[F32, F32]:
    rng = np.random.default_rng(0)
    corner = rng.uniform(-20, 190, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 60, (count, 2))], 1)
    return boxes.astype(np.float32), rng.uniform(0, 1, count).astype(np.float32)


def test_what_is_left_is_inside_sure_apart_and_sorted() -> None:
    boxes, scores = choose_boxes(*many(), (150, 200), *RULES)
    assert 1 < len(boxes) <= 50
    assert (boxes >= 0).all()
    assert (boxes <= [200, 150, 200, 150]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (scores >= 0.1).all()
    assert (np.diff(scores) <= 0).all()
    assert (box_iou(boxes, boxes) - np.eye(len(boxes))).max() <= 0.6


def test_choosing_again_changes_nothing() -> None:
    once = choose_boxes(*many(), (150, 200), *RULES)
    again = choose_boxes(*once, (150, 200), *RULES)
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_the_best_candidates_are_looked_at() -> None:
    boxes, scores = many()
    _, found = choose_boxes(boxes, scores, (150, 200), RULES[0], 5)
    assert len(found) <= 5
    assert found[0] <= scores.max()


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_sure_is_nothing(count: int) -> None:
    boxes, scores = choose_boxes(
        np.zeros((count, 4), np.float32), np.zeros(count, np.float32), (9, 9), *RULES
    )
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))
