"""The ladder goes down at once, up slowly, and does not flap. Time is simulated."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.pipeline.ladder import Ladder, LadderRules

BUDGET_MS = 100.0
CALM_MS = 50.0
LATE_MS = 150.0
RULES = LadderRules(up_margin=0.7, hold_s=2.0, longest_hold_s=16.0)


def ladder(steps: int = 3) -> Ladder:
    return Ladder(steps, BUDGET_MS, RULES)


def feed(it: Ladder, age_ms: float, start_s: float, duration_s: float) -> float:
    """Ten results a second of the present step; returns the time after them."""
    for i in range(round(duration_s * 10)):
        it.observe(age_ms, it.step, start_s + i / 10)
    return start_s + duration_s


def falls_to(it: Ladder, step: int, now_s: float = 0.0) -> None:
    while it.step < step:
        it.observe(LATE_MS, it.step, now_s)


def test_one_late_result_takes_it_down_one_step_at_once() -> None:
    it = ladder()
    assert it.observe(LATE_MS, 0, 0.0) == 1
    assert it.observe(LATE_MS, 1, 0.1) == 2


def test_it_stops_at_the_last_step() -> None:
    it = ladder()
    feed(it, LATE_MS, 0.0, 10.0)
    assert it.step == 2


def test_a_result_of_an_older_step_says_nothing() -> None:
    it = ladder()
    it.observe(LATE_MS, 0, 0.0)
    assert [it.observe(LATE_MS, 0, t / 10) for t in range(5)] == [1] * 5


def test_a_calm_result_of_an_older_step_does_not_start_the_hold() -> None:
    it = ladder()
    falls_to(it, 1)
    it.observe(CALM_MS, 0, 0.0)
    it.observe(CALM_MS, 1, 1.9)
    assert it.observe(CALM_MS, 1, 2.1) == 1


def test_it_rises_only_after_the_hold_and_one_step_at_a_time() -> None:
    it = ladder()
    falls_to(it, 2)
    feed(it, CALM_MS, 0.0, 2.0)
    assert it.step == 2
    feed(it, CALM_MS, 2.0, 0.2)
    assert it.step == 1
    feed(it, CALM_MS, 2.2, 1.8)
    assert it.step == 1
    feed(it, CALM_MS, 4.0, 0.5)
    assert it.step == 0


def test_a_result_near_the_budget_starts_the_hold_again() -> None:
    it = ladder()
    falls_to(it, 1)
    now = feed(it, CALM_MS, 0.0, 1.9)
    it.observe(0.8 * BUDGET_MS, 1, now)
    feed(it, CALM_MS, now + 0.1, 1.9)
    assert it.step == 1


def test_a_result_near_the_budget_alone_never_takes_it_down_or_up() -> None:
    it = ladder()
    falls_to(it, 1)
    feed(it, 0.99 * BUDGET_MS, 0.0, 60.0)
    assert it.step == 1


def rises(it: Ladder, works_at: int, duration_s: float) -> list[float]:
    """Simulate steps above `works_at` being too slow; returns the times of all rises."""
    times, before = [], it.step
    for i in range(round(duration_s * 10)):
        step = it.observe(CALM_MS if it.step >= works_at else LATE_MS, it.step, i / 10)
        if step < before:
            times.append(i / 10)
        before = step
    return times


def test_a_rise_that_has_to_be_taken_back_is_tried_after_twice_the_time() -> None:
    times = rises(ladder(2), works_at=1, duration_s=200.0)
    waits = [round(b - a) for a, b in itertools.pairwise(times)]
    assert waits[:3] == [4, 8, 16]
    assert set(waits[3:]) == {16}, "the hold has a longest value"


def test_a_rise_taken_back_by_two_steps_doubles_the_hold_once() -> None:
    it = ladder(3)
    falls_to(it, 1)
    now = feed(it, CALM_MS, 0.0, 2.2)
    assert it.step == 0
    it.observe(LATE_MS, 0, now)
    it.observe(LATE_MS, 1, now + 0.1)
    assert it.step == 2
    feed(it, CALM_MS, now + 0.2, 4.2)
    assert it.step == 1, "one rise failed, so the hold is 4 s"


def test_a_load_that_returns_every_few_seconds_does_not_make_it_flap() -> None:
    """Late for one result every 5 s: it must not change step at each of them for ever."""
    it = Ladder(2, BUDGET_MS, LadderRules())
    changes, before = 0, it.step
    for i in range(10 * 600):
        is_spike = it.step == 0 and i % 50 == 0
        step = it.observe(LATE_MS if is_spike else CALM_MS, it.step, i / 10)
        changes += step != before
        before = step
    assert changes < 60, f"{changes} changes of quality in ten minutes"


def test_after_a_long_good_time_the_hold_is_short_again() -> None:
    it = ladder(2)
    rises(it, works_at=1, duration_s=100.0)
    falls_to(it, 1, 100.0)
    now = feed(it, CALM_MS, 100.0, 17.0)
    assert it.step == 0
    now = feed(it, CALM_MS, now, 100.0)
    it.observe(LATE_MS, 0, now)
    feed(it, CALM_MS, now + 0.1, 2.3)
    assert it.step == 0


def test_without_a_budget_it_never_moves() -> None:
    it = Ladder(3, 0.0)
    feed(it, 1e6, 0.0, 10.0)
    assert it.step == 0


@given(
    st.integers(1, 4), st.lists(st.tuples(st.floats(0, 300), st.integers(0, 3), st.floats(0, 5)))
)
def test_it_moves_one_step_at_a_time_within_its_range(
    steps: int, seen: list[tuple[float, int, float]]
) -> None:
    it, now, last_change = Ladder(steps, BUDGET_MS, RULES), 0.0, 0.0
    for age_ms, step, wait_s in seen:
        now += wait_s
        before = it.step
        after = it.observe(age_ms, step, now)
        assert after == it.step
        assert 0 <= after < steps
        assert abs(after - before) <= 1
        if after < before:
            assert age_ms <= RULES.up_margin * BUDGET_MS
            assert now - last_change >= RULES.hold_s
        if after != before:
            last_change = now
