"""Is a frame still worth the encoder, and at which step? Shared by all threads of a run."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edgesam_rt.boards import LadderStep
from edgesam_rt.pipeline.demand import Demand
from edgesam_rt.pipeline.ladder import Ladder, Seen
from edgesam_rt.system.probes import Readings

_SMOOTHING = 0.2  # weight of the newest cost in the running estimates
_RECENT = 30  # frames whose shortest wait counts as what cannot be avoided,
_ENOUGH = 10  # once there were so many
_CROWDED = 3  # frames lost in a row for being late, at which the ladder goes down
log = logging.getLogger(__name__)


@dataclass
class _Cost:
    """What frames cost at one step, ms: their mean, and how far they are from it."""

    mean: float
    spread: float = 0.0

    def learn(self, cost_ms: float) -> None:
        off = cost_ms - self.mean
        self.mean += _SMOOTHING * off
        self.spread += _SMOOTHING * (abs(off) - self.spread)

    @property
    def likely_most(self) -> float:
        """What most frames do not exceed."""
        return self.mean + self.spread


class Budget:
    """Milliseconds from capture to result, kept by dropping early and by stepping down.

    Args:
        budget_ms: 0 means none.
        steps: of the ladder.
        may_drop: only a live source's frames may be dropped.
    """

    def __init__(self, budget_ms: float, steps: Sequence[LadderStep], *, may_drop: bool) -> None:
        self.budget_ms = budget_ms
        self.may_drop = may_drop
        self._steps = tuple(steps)
        self._demand = Demand(steps)
        self._ladder = Ladder(steps, budget_ms, fits=self._demand.fits)
        self._costs: dict[int, _Cost] = {}
        self._waits_ms: deque[float] = deque(maxlen=_RECENT)
        self._lost_in_a_row = 0
        self._was_throttled = False
        self._lock = threading.Lock()

    @property
    def step(self) -> int:
        """To run at."""
        return self._ladder.step

    @property
    def at(self) -> tuple[int, str]:
        """The step, and why it is not 0; "" at 0."""
        with self._lock:
            return self._ladder.step, self._ladder.reason

    def use(self, steps: Sequence[int]) -> None:
        """Use only these steps: those that make a difference in the present mode."""
        with self._lock:
            self._ladder.use(steps)

    def is_late(self, age_ms: float, step: int, now_s: float, *, is_fresh: bool = True) -> bool:
        """Whether a frame that waits to be encoded cannot make it.

        Its wait, plus what a frame costs at this step, is over the budget. But none is late if the
        shortest wait of late would be too: then late results beat none.

        Args:
            age_ms: since its capture.
            step: it would be encoded at.
            now_s: any monotonic time.
            is_fresh: it would have to be encoded; else it costs next to nothing.
        """
        if not self.may_drop or self.budget_ms <= 0:
            return False
        with self._lock:
            known = self._costs.get(step)
            cost = known.likely_most if known is not None and is_fresh else 0.0
            self._waits_ms.append(age_ms)
            unavoidable = min(self._waits_ms) if len(self._waits_ms) >= _ENOUGH else 0.0
            is_late = unavoidable + cost <= self.budget_ms < age_ms + cost
            self._lost_in_a_row = self._lost_in_a_row + 1 if is_late else 0
            if self._lost_in_a_row >= _CROWDED:
                self._lost_in_a_row = 0
                with self._told():
                    self._ladder.fall("late", now_s)
        return is_late

    def learn(self, seen: Seen, now_s: float) -> None:
        """Take note of a result."""
        with self._lock:
            if seen.is_fresh:
                self._costs.setdefault(seen.step, _Cost(seen.cost_ms)).learn(seen.cost_ms)
            self._demand.note(seen, now_s)
            with self._told():
                self._ladder.observe(seen, now_s)

    def heed(self, readings: Readings, quota: float | None, now_s: float) -> None:
        """Take note of what surrounds the run.

        No rise while the board is held back or nearly; one step down when that begins. No rise that
        a quota has no room for.

        Args:
            readings: of the board's sensors.
            quota: cores that the process may use; None is no limit.
            now_s: any monotonic time.
        """
        with self._lock:
            self._demand.quota = quota
            self._ladder.hold(is_held=not readings.may_rise)
            begins = readings.throttled and not self._was_throttled
            self._was_throttled = readings.throttled
            if begins:
                with self._told():
                    self._ladder.fall("throttled", now_s)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Log a change of the step."""
        before = self._ladder.step
        yield
        after = self._ladder.step
        if after != before:
            names = [f"{at} ({self._steps[at].name})" for at in (before, after)]
            why = self._ladder.reason if after > before else "there is room"
            log.info("ladder: step %s -> %s: %s", *names, why)
