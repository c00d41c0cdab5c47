"""What a run's results say of its budget. Pure: rows and times in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

ADAPTS_S = 3.0  # after which the budget counts
STAYS_S = 2.0  # less at full quality is a try
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Phase:
    """A time under load, seconds from the beginning."""

    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Point:
    """One result."""

    at_s: float
    age_ms: float
    step: int
    is_fresh: bool


def points_of(rows: Sequence[Row], began_ns: int) -> list[Point]:
    """Results of `edgesam-run`'s JSON lines, seconds from a time of its clock."""
    return [
        Point(
            (row["captured_at_ns"] + row["age_ms"] * 1e6 - began_ns) / 1e9,
            row["age_ms"],
            row["ladder_step"],
            row["reuse"] == "none",
        )
        for row in rows
    ]


def figures(points: Sequence[Point], phases: Sequence[Phase], budget_ms: float) -> dict[str, Any]:
    """Everything that is asked of a run.

    Args:
        points: in the order of time.
        phases: of load.
        budget_ms: of the run.
    """
    under = [p for p in points if any(f.begin_s + ADAPTS_S <= p.at_s < f.end_s for f in phases)]
    before = [p for p in points if p.at_s < phases[0].begin_s]
    loaded_s = sum(f.end_s - f.begin_s - ADAPTS_S for f in phases)
    return {
        "within_before": within(before, budget_ms),
        "steps_before": sorted({p.step for p in before}),
        "within": within(under, budget_ms),
        "within_fresh": within([p for p in under if p.is_fresh], budget_ms),
        "results_per_s": round(len(under) / loaded_s, 2),
        "fresh_per_s": round(sum(p.is_fresh for p in under) / loaded_s, 2),
        "steps_under_load": {
            step: sum(p.step == step for p in under) for step in sorted({p.step for p in under})
        },
        "back_s": [back_after(points, f, nexts(phases, f)) for f in phases],
        "shortest_swing_s": shortest_swing(points),
        "changes": [[round(t, 2), step] for t, step in changes(points)],
    }


def nexts(phases: Sequence[Phase], phase: Phase) -> float:
    """When the next load begins."""
    return min((f.begin_s for f in phases if f.begin_s > phase.begin_s), default=float("inf"))


def within(points: Sequence[Point], budget_ms: float) -> float | None:
    """Share of results that kept the budget; None of none."""
    if not points:
        return None
    return round(sum(p.age_ms <= budget_ms for p in points) / len(points), 4)


def back_after(points: Sequence[Point], phase: Phase, until_s: float) -> float | None:
    """Seconds from the end of a load until results are at step 0 for a while; None if never."""
    after = [p for p in points if phase.end_s <= p.at_s < until_s]
    stays = [*changes(after), (after[-1].at_s, 0)] if after else []
    for (at_s, step), (ends_s, _) in pairwise(stays):
        if step == 0 and (ends_s - at_s >= STAYS_S or ends_s == after[-1].at_s):
            return round(at_s - phase.end_s, 2)
    return None


def changes(points: Sequence[Point]) -> list[tuple[float, int]]:
    """When the step changed, and to which; the first step is one."""
    seen: list[tuple[float, int]] = []
    for point in points:
        if not seen or seen[-1][1] != point.step:
            seen.append((point.at_s, point.step))
    return seen


def shortest_swing(points: Sequence[Point]) -> float | None:
    """Shortest time from one fall to the next one that a rise lies between; None if none does.

    That is the period of an oscillation of the quality: down, up, down again.
    """
    falls: list[float] = []
    has_risen = True
    for (_, before), (at_s, step) in pairwise(changes(points)):
        if step > before and has_risen:
            falls.append(at_s)
        has_risen = step < before
    return min((round(b - a, 2) for a, b in pairwise(falls)), default=None)
