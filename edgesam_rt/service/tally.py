"""What results add up to: histograms, counters by step, and a short memory for charts.

One thread adds, in constant time; others read copies whenever they like.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

from edgesam_rt.records import Result

# Upper bounds, ms: from a mask on a desktop to everything mode on a Raspberry Pi 4.
BUCKETS_MS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 1000, 2000, 5000)
STAGES = ("capture", "fit", "encode", "decode", "mask", "age")
_OF_ENCODER = ("fit", "encode")
REMEMBERED = 600  # newest results, for charts
STEPS_REMEMBERED = 100  # newest changes of the ladder's step


class Histogram:
    """How many values fell under each bound of `BUCKETS_MS`, and their sum."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_MS) + 1)
        self._sum_ms = 0.0

    def add(self, ms: float) -> None:
        """Count a value."""
        self._counts[bisect_left(BUCKETS_MS, ms)] += 1
        self._sum_ms += ms

    def read(self) -> tuple[list[int], float]:
        """Counts per bucket, the last one without a bound, and the sum in ms."""
        return list(self._counts), self._sum_ms


@dataclass(frozen=True)
class Point:
    """A result in the charts.

    Attributes:
        made_at_ns: monotonic time at which it was finished.
        age_ms: capture to result.
        ladder_step: it was made at.
        stages_ms: in the order of `STAGES` without the age.
    """

    made_at_ns: int
    age_ms: float
    ladder_step: int
    stages_ms: tuple[float, ...]


class Tally:
    """Adds results up.

    Attributes:
        stages: a histogram per stage; "age" is capture to result. Frames that were not encoded
            count in neither "fit" nor "encode".
    """

    def __init__(self) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self._recent: deque[Point] = deque(maxlen=REMEMBERED)
        self._steps: deque[tuple[int, int]] = deque(maxlen=STEPS_REMEMBERED)

    def add(self, result: Result, now_ns: int) -> None:
        """Add a result that was finished at a monotonic time."""
        timings, step = result.timings, result.ladder_step
        taken = tuple(getattr(timings, f"{name}_ms") for name in STAGES)
        for name, ms in zip(STAGES, taken, strict=True):
            if result.reuse == "none" or name not in _OF_ENCODER:
                self.stages[name].add(ms)
        if not self._steps or self._steps[-1][1] != step:
            self._steps.append((now_ns, step))
        self._recent.append(Point(now_ns, timings.age_ms, step, taken[:-1]))

    def recent(self, since_ns: int = 0) -> list[Point]:
        """The newest results, oldest first, made after a time."""
        return [point for point in self._recent.copy() if point.made_at_ns > since_ns]

    def steps(self) -> list[tuple[int, int]]:
        """When which ladder step was reached, oldest first: monotonic ns and step."""
        return list(self._steps.copy())
