"""Late frames are dropped before they cost anything, but results never stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.pipeline.budget import Budget


def test_an_unknown_cost_drops_only_what_is_already_late() -> None:
    budget = Budget(100.0, 1, may_drop=True)
    assert not budget.judge(99.0).is_late
    assert budget.judge(101.0).is_late


def test_a_frame_that_cannot_make_it_is_late() -> None:
    budget = Budget(100.0, 1, may_drop=True)
    budget.learn(60.0, 70.0, 0, 0.0)
    assert not budget.judge(39.0).is_late
    assert budget.judge(41.0).is_late


def test_frames_of_a_source_that_waits_are_never_late() -> None:
    budget = Budget(100.0, 1, may_drop=False)
    budget.learn(60.0, 70.0, 0, 0.0)
    assert not budget.judge(1e6).is_late


@pytest.mark.parametrize("cost_ms", [0.0, 50.0, 1e6])
def test_without_a_budget_nothing_is_late(cost_ms: float) -> None:
    budget = Budget(0.0, 2, may_drop=True)
    budget.learn(cost_ms, cost_ms, 0, 0.0)
    assert budget.judge(1e6) == type(budget.judge(0.0))(is_late=False, step=0)


def test_where_no_frame_can_make_it_late_results_beat_none() -> None:
    budget = Budget(100.0, 1, may_drop=True)
    budget.learn(150.0, 160.0, 0, 0.0)
    assert not budget.judge(30.0).is_late


def test_the_step_follows_the_ladder() -> None:
    budget = Budget(100.0, 3, may_drop=True)
    assert budget.judge(0.0).step == 0
    budget.learn(150.0, 160.0, 0, 0.0)
    assert budget.judge(0.0).step == 1


def simulate(budget: Budget, waited_ms: float, costs_ms: tuple[float, ...], frames: int) -> int:
    """Frames of a live source that have all waited the same; returns how many came through."""
    results = 0
    for i in range(frames):
        verdict = budget.judge(waited_ms)
        if verdict.is_late:
            continue
        results += 1
        cost_ms = costs_ms[verdict.step]
        budget.learn(cost_ms, waited_ms + cost_ms, verdict.step, i / 10)
    return results


def test_a_camera_with_a_delay_of_its_own_does_not_starve() -> None:
    """Stamped 30 ms before it arrives, 80 ms to compute: 110 ms, so no frame ever makes 100."""
    assert simulate(Budget(100.0, 1, may_drop=True), 30.0, (80.0,), 100) > 10


def test_frames_that_would_make_it_at_a_lower_step_get_there() -> None:
    """At step 0 no frame makes it, at step 1 all do: dropping at the door must move the ladder."""
    assert simulate(Budget(100.0, 2, may_drop=True), 30.0, (80.0, 40.0), 100) > 50


def test_one_slow_first_frame_does_not_starve_the_rest() -> None:
    """The first frame pays for warming up: 95 ms. All others take 20 ms and wait for 10."""
    budget = Budget(100.0, 1, may_drop=True)
    budget.learn(95.0, 99.0, 0, 0.0)
    assert simulate(budget, 10.0, (20.0,), 100) > 50


@given(
    waited_ms=st.floats(0.0, 90.0),
    costs_ms=st.lists(st.floats(1.0, 200.0), min_size=1, max_size=3),
    first_ms=st.floats(1.0, 300.0),
)
def test_whatever_frames_cost_some_come_through(
    waited_ms: float, costs_ms: list[float], first_ms: float
) -> None:
    budget = Budget(100.0, len(costs_ms), may_drop=True)
    budget.learn(first_ms, waited_ms + first_ms, 0, 0.0)
    assert simulate(budget, waited_ms, tuple(costs_ms), 200) > 0
