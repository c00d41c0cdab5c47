"""The ladder goes down at once, up when there is room, and does not flap. Time is simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.budget import judge
from benchmarks.budget.judge import Phase, Point
from edgesam_rt import boards
from edgesam_rt.boards import LadderStep
from edgesam_rt.boards.ladder import for_sides, in_play
from edgesam_rt.pipeline.ladder import Ladder, LadderRules, Seen

BUDGET_MS = 100.0
CALM_MS = 40.0
LATE_MS = 150.0
RULES = LadderRules()
STEPS = for_sides(boards.load("cpu").ladder, (512, 384))
# Milliseconds per result at each of them, measured on x86-64, then made ever cheaper.
COSTS_MS = (24.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0)


def same(count: int) -> list[LadderStep]:
    """Steps that nothing is expected of: one costs as much as the next."""
    return [LadderStep(name=str(i), encoder_side=384) for i in range(count)]


def ladder(steps: int = 3) -> Ladder:
    return Ladder(same(steps), BUDGET_MS, RULES)


def see(it: Ladder, age_ms: float, now_s: float, step: int | None = None) -> int:
    return it.observe(Seen(age_ms, age_ms, it.step if step is None else step), now_s)


def feed(it: Ladder, age_ms: float, start_s: float, duration_s: float) -> float:
    """Ten results a second of the present step; returns the time after them."""
    for i in range(round(duration_s * 10)):
        see(it, age_ms, start_s + i / 10)
    return start_s + duration_s


def falls_to(it: Ladder, step: int, now_s: float = 0.0) -> None:
    while it.step < step:
        see(it, LATE_MS, now_s)


def test_one_late_result_takes_it_down_one_step_at_once() -> None:
    it = ladder()
    assert see(it, LATE_MS, 0.0) == 1
    assert see(it, LATE_MS, 0.1) == 2
    assert it.reason == "late"


def test_it_stops_at_the_last_step() -> None:
    it = ladder()
    feed(it, LATE_MS, 0.0, 10.0)
    assert it.step == 2


def test_a_result_of_an_older_step_says_nothing() -> None:
    it = ladder()
    see(it, LATE_MS, 0.0)
    assert [see(it, LATE_MS, t / 10, step=0) for t in range(5)] == [1] * 5


def test_the_first_result_of_a_step_is_judged_by_its_own_cost() -> None:
    """It waited for the last frame of the former step; that is not this step's fault."""
    it = ladder()
    see(it, LATE_MS, 0.0)
    assert it.observe(Seen(age_ms=LATE_MS, cost_ms=CALM_MS, step=1), 0.1) == 1
    assert it.observe(Seen(age_ms=LATE_MS, cost_ms=CALM_MS, step=1), 0.2) == 2


def test_it_rises_after_the_hold_and_then_quicker() -> None:
    it = ladder()
    falls_to(it, 2)
    feed(it, CALM_MS, 0.0, RULES.hold_s)
    assert it.step == 2
    see(it, CALM_MS, RULES.hold_s)
    assert it.step == 1
    feed(it, CALM_MS, RULES.hold_s + 0.1, RULES.climb_s + 0.2)
    assert it.step == 0
    assert it.reason == ""


def test_a_result_near_the_budget_sets_the_hold_back() -> None:
    it = ladder(2)
    falls_to(it, 1)
    now = feed(it, CALM_MS, 0.0, RULES.hold_s)
    see(it, 0.9 * BUDGET_MS, now)
    feed(it, CALM_MS, now + 0.1, RULES.setback * 0.1)
    assert it.step == 1
    feed(it, CALM_MS, now + 0.6, 0.3)
    assert it.step == 0


@pytest.mark.parametrize(("every", "step"), [(5, 1), (20, 0)])
def test_a_rise_needs_most_results_to_be_well_within_the_budget(every: int, step: int) -> None:
    it = ladder(2)
    falls_to(it, 1)
    for i in range(60):
        see(it, 0.9 * BUDGET_MS if i % every == 0 else CALM_MS, i / 10)
    assert it.step == step


def test_a_result_near_the_budget_alone_never_takes_it_down_or_up() -> None:
    it = ladder()
    falls_to(it, 1)
    feed(it, 0.99 * BUDGET_MS, 0.0, 60.0)
    assert it.step == 1


def test_it_does_not_rise_to_a_side_whose_cost_is_known_to_be_too_high() -> None:
    """60 ms at side 384 are 107 ms at side 512."""
    it = Ladder(STEPS[:2], BUDGET_MS)
    falls_to(it, 1)
    feed(it, 60.0, 0.0, 60.0)
    assert it.step == 1
    feed(it, CALM_MS, 60.0, 3.0)
    assert it.step == 0


def test_time_that_everything_mode_can_cut_does_not_keep_it_from_rising() -> None:
    it = ladder()
    falls_to(it, 1)
    for i in range(30):
        it.observe(Seen(95.0, 95.0, it.step, elastic_ms=60.0), i / 10)
    assert it.step == 0


def test_results_of_an_earlier_embedding_are_no_reason_to_rise() -> None:
    it = ladder()
    falls_to(it, 1)
    for i in range(100):
        it.observe(Seen(2.0, 2.0, it.step, is_fresh=False), i / 10)
    assert it.step == 1


def test_it_does_not_rise_while_it_is_held_nor_to_what_does_not_fit() -> None:
    held = ladder()
    falls_to(held, 1)
    held.hold(is_held=True)
    feed(held, CALM_MS, 0.0, 10.0)
    assert held.step == 1
    held.hold(is_held=False)
    feed(held, CALM_MS, 10.0, 3.0)
    assert held.step == 0
    unfit = Ladder(same(2), BUDGET_MS, fits=lambda step, _now_s: step > 0)
    falls_to(unfit, 1)
    feed(unfit, CALM_MS, 0.0, 10.0)
    assert unfit.step == 1


def test_only_steps_in_play_are_used() -> None:
    it = Ladder(same(5), BUDGET_MS)
    it.use((0, 1, 3))
    assert [see(it, LATE_MS, t / 10) for t in range(4)] == [1, 3, 3, 3]
    it.use((0, 1, 2))
    assert it.step == 2
    it.use((0,))
    assert (it.step, it.reason) == (0, "")


def test_a_fall_for_heat_says_so() -> None:
    it = ladder()
    it.fall("throttled", 0.0)
    assert (it.step, it.reason) == (1, "throttled")


def rises(it: Ladder, works_at: int, duration_s: float) -> list[float]:
    """Simulate steps above `works_at` being too slow; returns the times of all rises."""
    times, before = [], it.step
    for i in range(round(duration_s * 10)):
        step = see(it, CALM_MS if it.step >= works_at else LATE_MS, i / 10)
        if step < before:
            times.append(i / 10)
        before = step
    return times


def test_a_rise_that_has_to_be_taken_back_is_tried_after_a_longer_time() -> None:
    times = rises(ladder(2), works_at=1, duration_s=60.0)
    waits = [b - a for a, b in pairwise(times)]
    assert all(RULES.back_s - 0.5 <= wait <= RULES.back_s + 0.5 for wait in waits[1:])


def test_without_a_budget_it_never_moves() -> None:
    it = Ladder(same(3), 0.0)
    feed(it, 1e6, 0.0, 10.0)
    it.fall("throttled", 10.0)
    assert it.step == 0


def simulate(
    it: Ladder,
    slowdown: Callable[[float], float],
    costs_ms: Sequence[float],
    duration_s: float,
    fps: float,
) -> list[Point]:
    """A live source and one engine: the newest frame is taken whenever the engine is free."""
    points: list[Point] = []
    free_s = 0.0
    while free_s < duration_s:
        taken_s = max(free_s, int(free_s * fps + 1 - 1e-9) / fps)
        captured_s = int(taken_s * fps + 1e-9) / fps
        step, cost_ms = it.step, costs_ms[it.step] * slowdown(taken_s)
        free_s = taken_s + cost_ms / 1e3
        age_ms = (free_s - captured_s) * 1e3
        it.observe(Seen(age_ms, cost_ms, step), free_s)
        points.append(Point(free_s, age_ms, step, is_fresh=True))
        free_s += 1e-6
    return points


LOAD = Phase(5.0, 25.0)


def during(load: Phase, slowdown: float) -> Callable[[float], float]:
    return lambda now_s: slowdown if load.begin_s <= now_s < load.end_s else 1.0


@settings(max_examples=40)
@given(slowdown=st.floats(1.0, 12.0), fps=st.sampled_from((15.0, 25.0, 30.0)))
def test_any_sudden_load_is_answered_in_3_s_and_forgotten_in_5_s(
    slowdown: float, fps: float
) -> None:
    it = Ladder(STEPS, BUDGET_MS)
    points = simulate(it, during(LOAD, slowdown), COSTS_MS, 35.0, fps)
    found = judge.figures(points, [LOAD], BUDGET_MS)
    assert found["within"] >= 0.95, found
    assert found["back_s"][0] <= 5.0, found
    assert (found["shortest_swing_s"] or 9.0) >= 2.0, found


@settings(max_examples=40)
@given(
    shares=st.lists(st.floats(0.5, 0.95), min_size=1, max_size=6),
    slowdown=st.floats(1.0, 30.0),
    fps=st.sampled_from((10.0, 15.0, 30.0)),
)
def test_whatever_the_steps_save_it_never_flaps_under_a_constant_load(
    shares: list[float], slowdown: float, fps: float
) -> None:
    costs = [20.0]
    for share in shares:
        costs.append(costs[-1] * share)
    it = Ladder(same(len(costs)), BUDGET_MS)
    points = simulate(it, lambda _: slowdown, costs, 60.0, fps)
    assert (judge.shortest_swing(points) or 9.0) >= 2.0
    if costs[-1] * slowdown + 1000 / fps > 3 * BUDGET_MS:
        assert points[-1].step == len(costs) - 1, "nothing else is cheap enough"


@pytest.mark.parametrize("mode", ["prompt", "track", "everything"])
@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0])
def test_full_quality_is_back_within_5_s_in_every_mode(mode: str, fps: float) -> None:
    it = Ladder(STEPS, BUDGET_MS)
    it.use(in_play(STEPS, mode))
    points = simulate(it, during(LOAD, 40.0), COSTS_MS, 35.0, fps)
    assert {p.step for p in points if 10 < p.at_s < 25} == {max(in_play(STEPS, mode))}
    back_s = judge.back_after(points, LOAD, 35.0)
    assert back_s is not None
    assert back_s <= 5.0


@given(
    st.integers(1, 4), st.lists(st.tuples(st.floats(0, 300), st.integers(0, 3), st.floats(0, 5)))
)
def test_it_stays_within_its_range_and_falls_one_step_at_a_time(
    steps: int, seen: list[tuple[float, int, float]]
) -> None:
    it, now, last_fall = Ladder(same(steps), BUDGET_MS, RULES), 0.0, -9.0
    for age_ms, step, wait_s in seen:
        now += wait_s
        before = it.step
        after = see(it, age_ms, now, step)
        assert after == it.step
        assert 0 <= after < steps
        assert after - before <= 1
        if after < before:
            assert age_ms <= RULES.up_margin * BUDGET_MS
            assert now - last_fall >= RULES.hold_s
        if after > before:
            last_fall = now
        assert bool(it.reason) == (after > 0)
