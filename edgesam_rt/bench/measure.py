"""Timing: warm-up, repeats, percentiles, interleaving, and a clock around every engine run."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from edgesam_rt.backends.base import Backend, Feeds, Outputs

T = TypeVar("T")
Figures = dict[str, float]
Work = Callable[[], object]


@dataclass
class Times:
    """What was measured of one piece of work, in milliseconds per run.

    Attributes:
        wall: on the clock on the wall.
        cpu: of the calling thread alone. On a busy machine it leaves out the time in which another
            process had the core; of an engine with one thread it is the whole cost.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, work: Callable[[], T]) -> T:
        """Run the work once, note its times, and return what it gives."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        made = work()
        self.cpu.append((time.thread_time_ns() - cpu) / 1e6)
        self.wall.append((time.perf_counter_ns() - wall) / 1e6)
        return made

    def figures(self) -> dict[str, Figures]:
        """Both as plain data."""
        return {"wall_ms": series(self.wall), "thread_cpu_ms": series(self.cpu)}


def series(values: Sequence[float]) -> Figures:
    """n, min, p50, p95 and p99 of some values; at least one."""
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    named = {"min": min(values), "p50": p50, "p95": p95, "p99": p99}
    return {"n": len(values), **{k: round(float(v), 4) for k, v in named.items()}}


def interleave(works: Mapping[str, Work], *, warm_up: int, repeats: int) -> dict[str, Times]:
    """Time several pieces of work in turns, A B A B …, so that all see the same machine."""
    times = {name: Times() for name in works}
    for _ in range(warm_up):
        for work in works.values():
            work()
    for _ in range(repeats):
        for name, work in works.items():
            times[name].run(work)
    return times


def repeat(work: Work, *, warm_up: int, repeats: int) -> Times:
    """Time one piece of work."""
    return interleave({"it": work}, warm_up=warm_up, repeats=repeats)["it"]


class EngineClock:
    """Milliseconds spent inside engines, by part, since `take` was last called."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = defaultdict(float)

    def add(self, part: str, ms: float) -> None:
        """Count a run."""
        self._ms[part] += ms

    def take(self) -> dict[str, float]:
        """Read and start again."""
        taken, self._ms = dict(self._ms), defaultdict(float)
        return taken


@contextlib.contextmanager
def engine_clock() -> Iterator[EngineClock]:
    """Time every engine run inside the block, checks included; `run` is `run_many` of one."""
    clock = EngineClock()
    original = Backend.run_many

    def timed(self: Backend, feeds: Sequence[Feeds]) -> list[Outputs]:
        started = time.perf_counter_ns()
        try:
            return original(self, feeds)
        finally:
            clock.add(part_of(self), (time.perf_counter_ns() - started) / 1e6)

    Backend.run_many = timed  # type: ignore[method-assign, misc]  # put back below
    try:
        yield clock
    finally:
        Backend.run_many = original  # type: ignore[method-assign, misc]


def part_of(engine: Backend) -> str:
    """Which part of a bundle an engine is, by its tensors."""
    scores, masks = (n in engine.outputs for n in ("iou_predictions", "low_res_masks"))
    if masks and (not scores or "mask_tokens" in engine.inputs):
        return "mask_head"
    if scores:
        return "decoder" if masks else "scorer"
    return "encoder"
