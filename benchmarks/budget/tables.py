"""The budget's report as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import markdown

Row = Mapping[str, Any]
NEVER = "never"


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """How the budget was kept, and the steps over time."""
    mode = figures["mode"]
    head = [f"{mode} mode", "budget, ms", "in time before"]
    head += [f"in time under load, after {figures['adapts_s']:g} s", "of those encoded"]
    head += ["results per s (encoded)", "full quality again, s", "shortest swing, s"]
    rows = [_held(row) for row in figures["rows"]]
    yield f"budget-{mode}", markdown(head, rows)
    steps = [[row["case"], _changes(row)] for row in figures["rows"]]
    yield f"budget-{mode}-steps", markdown([f"{mode} mode", "seconds: step"], steps)


def _held(row: Row) -> list[object]:
    back = ", ".join(NEVER if s is None else f"{s:.1f}" for s in row["back_s"])
    swing = row["shortest_swing_s"]
    return [
        f"{row['case']} ({row['how']})",
        f"{row['budget_ms']:g}",
        _percent(row["within_before"]),
        _percent(row["within"]),
        _percent(row["within_fresh"]),
        f"{row['results_per_s']:.1f} ({row['fresh_per_s']:.1f})",
        back,
        "none" if swing is None else f"{swing:.1f}",
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _changes(row: Row) -> str:
    return ", ".join(f"{at_s:.1f}: {step}" for at_s, step in row["changes"])
