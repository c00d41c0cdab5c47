from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesam_rt.records import Prompt
from edgesam_rt.tracking.appearance import moments
from edgesam_rt.tracking.track import ELSEWHERE, FOUND_AGAIN, LEARN_EVERY, Sighting, Track
from edgesam_rt.types import F32
from tests.unit.tracking.grids import two_kinds

HERE: F32 = np.array([1, 0, 0, 1], np.float32)
AWAY: F32 = np.array([0, 1, 0, 1], np.float32)
GOOD = Sighting(np.array([0.1, 0.2, 0.5, 0.6], np.float32), 0.1, 0.9, 0.9, 0.95)
MS = 1_000_000


def followed() -> Track:
    """An object that was seen in frame 0."""
    inside = np.zeros((6, 8), np.float32)
    inside[2:4, 2:5] = 1
    track = Track(7, Prompt.point(1, 1))
    track.learn(moments(two_kinds(inside), inside), 0)
    track.see(GOOD, HERE, 0, 0)
    return track


def test_it_is_tracked_then_lost_then_re_acquired_then_tracked() -> None:
    track = followed()
    states = [
        track.see(GOOD, HERE, 1, 1),
        track.miss(2, 2),
        track.miss(3, 3),
        track.see(GOOD, HERE, 4, 4),
        track.see(GOOD, HERE, 5, 5),
    ]
    assert states == ["tracked", "lost", "lost", "re-acquired", "tracked"]


def test_it_says_for_how_long_it_was_not_seen_and_where_it_was() -> None:
    track = followed()
    track.see(GOOD, HERE, 1, 40 * MS)
    status = track.status(track.miss(3, 140 * MS), 140 * MS, (100, 200))
    assert (status.track_id, status.state) == (7, "lost")
    assert status.unseen_ms == pytest.approx(100)
    assert status.last_box_xyxy == pytest.approx((20, 20, 100, 60))


def test_one_never_seen_counts_from_when_it_was_asked_for() -> None:
    track = Track(1, Prompt.point(1, 1))
    track.miss(5, 10 * MS)
    status = track.status(track.miss(6, 30 * MS), 30 * MS, (100, 200))
    assert status.unseen_ms == pytest.approx(20)
    assert status.last_box_xyxy is None


def test_one_never_seen_takes_whatever_its_prompt_finds() -> None:
    track = Track(1, Prompt.point(1, 1))
    assert track.accepts(replace(GOOD, predicted_iou=0.0), HERE)
    assert not track.accepts(replace(GOOD, area=0.0), HERE)


@pytest.mark.parametrize(
    "change",
    [
        {"predicted_iou": 0.1},
        {"agreement": 0.1},
        {"likeness": 0.1},
        {"area": 0.9},
        {"area": 0.01},
        {"area": 0.0},
    ],
)
def test_each_guard_can_refuse_an_answer(change: dict[str, float]) -> None:
    track = followed()
    assert track.accepts(GOOD, HERE)
    assert not track.accepts(replace(GOOD, **change), HERE)


def test_more_is_asked_of_one_that_was_lost_and_most_in_another_scene() -> None:
    fair = replace(GOOD, likeness=FOUND_AGAIN.likeness - 0.05)
    good = replace(GOOD, likeness=ELSEWHERE.likeness - 0.05)
    track = followed()
    assert track.accepts(fair, HERE)
    assert not track.accepts(good, AWAY), "the scene was cut"
    track.miss(1, 1)
    assert not track.accepts(fair, HERE)
    assert track.accepts(good, HERE)
    assert not track.accepts(good, AWAY)
    assert track.accepts(GOOD, AWAY)


def test_the_scene_it_was_prompted_in_stays_known() -> None:
    track = followed()
    track.see(GOOD, AWAY, 1, 1)
    track.miss(2, 2)
    assert track.accepts(replace(GOOD, likeness=0.8), HERE)


def test_its_usual_area_follows_slowly() -> None:
    track = followed()
    for i in range(3):
        track.see(replace(GOOD, area=0.2), HERE, i, i)
    assert 0.1 < track.area < 0.15


def test_looks_are_learnt_now_and_then_and_only_of_sure_answers() -> None:
    track = followed()
    due = [frame for frame in range(1, 3 * LEARN_EVERY) if track.is_due(frame)]
    assert due[0] == LEARN_EVERY
    assert track.is_sure(GOOD)
    assert not track.is_sure(replace(GOOD, likeness=0.5))
