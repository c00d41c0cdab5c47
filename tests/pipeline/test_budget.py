"""Late frames are dropped before they cost anything, but results never stop."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.boards import LadderStep
from edgesam_rt.pipeline.budget import Budget
from edgesam_rt.pipeline.ladder import Seen
from edgesam_rt.system.probes import Readings


def make(budget_ms: float, steps: int, *, may_drop: bool = True) -> Budget:
    ladder = [LadderStep(name=f"step {i}", encoder_side=384) for i in range(steps)]
    return Budget(budget_ms, ladder, may_drop=may_drop)


def learn(it: Budget, cost_ms: float, age_ms: float, step: int = 0, now_s: float = 0.0) -> None:
    it.learn(Seen(age_ms, cost_ms, step), now_s)


def test_an_unknown_cost_drops_only_what_is_already_late() -> None:
    it = make(100.0, 1)
    assert not it.is_late(99.0, 0, 0.0)
    assert it.is_late(101.0, 0, 0.0)


def test_a_frame_that_cannot_make_it_is_late() -> None:
    it = make(100.0, 1)
    learn(it, 60.0, 70.0)
    assert not it.is_late(39.0, 0, 0.0)
    assert it.is_late(41.0, 0, 0.0)


def test_a_cost_that_varies_is_taken_for_more_than_its_mean() -> None:
    it = make(100.0, 1)
    for i in range(50):
        learn(it, 50.0 + 20.0 * (-1) ** i, 60.0, now_s=i / 10)
    assert it.is_late(45.0, 0, 9.0)
    assert not it.is_late(20.0, 0, 9.0)


def test_a_frame_that_needs_no_encoding_is_late_only_by_its_own_age() -> None:
    it = make(100.0, 1)
    learn(it, 60.0, 70.0)
    assert not it.is_late(90.0, 0, 0.0, is_fresh=False)
    assert it.is_late(101.0, 0, 0.0, is_fresh=False)


def test_what_is_made_of_an_earlier_embedding_does_not_count_as_a_cost() -> None:
    it = make(100.0, 1)
    learn(it, 60.0, 70.0)
    it.learn(Seen(1.0, 1.0, 0, is_fresh=False), 0.1)
    assert it.is_late(41.0, 0, 0.2)


def test_frames_of_a_source_that_waits_are_never_late() -> None:
    it = make(100.0, 1, may_drop=False)
    learn(it, 60.0, 70.0)
    assert not it.is_late(1e6, 0, 0.0)


@pytest.mark.parametrize("cost_ms", [0.0, 50.0, 1e6])
def test_without_a_budget_nothing_is_late(cost_ms: float) -> None:
    it = make(0.0, 2)
    learn(it, cost_ms, cost_ms)
    assert not it.is_late(1e6, 0, 0.0)
    assert it.step == 0


def test_where_no_frame_can_make_it_late_results_beat_none() -> None:
    it = make(100.0, 1)
    learn(it, 150.0, 160.0)
    assert not it.is_late(30.0, 0, 0.0)


def test_the_step_follows_the_ladder_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = make(100.0, 3)
    with caplog.at_level(logging.INFO):
        learn(it, 150.0, 160.0)
    assert it.at == (1, "late")
    assert caplog.messages == ["ladder: step 0 (step 0) -> 1 (step 1): late"]


def test_frames_lost_in_a_row_for_being_late_take_it_down() -> None:
    """All results are in time, but most frames never become one: that is too slow, too."""
    it = make(100.0, 2)
    learn(it, 60.0, 70.0)
    assert [it.is_late(50.0, 0, t / 10) for t in range(3)] == [True] * 3
    assert it.step == 1


def test_throttling_takes_it_down_once_and_keeps_it_from_rising() -> None:
    it = make(100.0, 3)
    hot = Readings(reasons=("throttled",))
    for now_s in range(5):
        it.heed(hot, None, float(now_s))
    assert it.at == (1, "throttled")
    for i in range(100):
        learn(it, 10.0, 10.0, it.step, i / 10)
    assert it.step == 1
    it.heed(Readings(), None, 10.0)
    for i in range(100, 140):
        learn(it, 10.0, 10.0, it.step, i / 10)
    assert it.step == 0


def test_heat_near_the_limit_only_keeps_it_from_rising() -> None:
    it = make(100.0, 3)
    it.heed(Readings(near=("cpu-thermal",)), None, 0.0)
    assert it.step == 0
    learn(it, 150.0, 160.0)
    for i in range(100):
        learn(it, 10.0, 10.0, it.step, i / 10)
    assert it.step == 1


def simulate(it: Budget, waited_ms: float, costs_ms: tuple[float, ...], frames: int) -> int:
    """Frames of a live source that have all waited the same; returns how many came through."""
    results = 0
    for i in range(frames):
        step = it.step
        if it.is_late(waited_ms, step, i / 10):
            continue
        results += 1
        learn(it, costs_ms[step], waited_ms + costs_ms[step], step, i / 10)
    return results


def test_a_camera_with_a_delay_of_its_own_does_not_starve() -> None:
    """Stamped 30 ms before it arrives, 80 ms to compute: 110 ms, so no frame ever makes 100."""
    assert simulate(make(100.0, 1), 30.0, (80.0,), 100) > 10


def test_frames_that_would_make_it_at_a_lower_step_get_there() -> None:
    """At step 0 no frame makes it, at step 1 all do: dropping at the door must move the ladder."""
    assert simulate(make(100.0, 2), 30.0, (80.0, 40.0), 100) > 50


def test_one_slow_first_frame_does_not_starve_the_rest() -> None:
    """The first frame pays for warming up: 95 ms. All others take 20 ms and wait for 10."""
    it = make(100.0, 1)
    learn(it, 95.0, 99.0)
    assert simulate(it, 10.0, (20.0,), 100) > 50


@given(
    waited_ms=st.floats(0.0, 90.0),
    costs_ms=st.lists(st.floats(1.0, 200.0), min_size=1, max_size=3),
    first_ms=st.floats(1.0, 300.0),
)
def test_whatever_frames_cost_some_come_through(
    waited_ms: float, costs_ms: list[float], first_ms: float
) -> None:
    it = make(100.0, len(costs_ms))
    learn(it, first_ms, waited_ms + first_ms)
    assert simulate(it, waited_ms, tuple(costs_ms), 200) > 0
