"""Is a frame still worth the encoder? Shared by the encode and the decode thread."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from edgesam_rt.pipeline.ladder import Ladder

_SMOOTHING = 0.2  # weight of the newest cost in the running estimate
_RECENT = 30  # frames whose shortest wait counts as what cannot be avoided,
_ENOUGH = 10  # once there were so many


@dataclass(frozen=True)
class Verdict:
    """What to do with a frame at the encoder's door."""

    is_late: bool
    step: int


class Budget:
    """Milliseconds from capture to result, kept by dropping early and by stepping down.

    Args:
        budget_ms: 0 means none.
        steps: of the ladder.
        may_drop: only a live source's frames may be dropped.
    """

    def __init__(self, budget_ms: float, steps: int, *, may_drop: bool) -> None:
        self.budget_ms = budget_ms
        self.may_drop = may_drop
        self._ladder = Ladder(steps, budget_ms)
        self._cost_ms: dict[int, float] = {}
        self._waits_ms: deque[float] = deque(maxlen=_RECENT)
        self._lock = threading.Lock()

    def judge(self, age_ms: float) -> Verdict:
        """Decide on a frame that waits to be encoded.

        It is late if its wait, plus what a frame costs at the current step, is over the budget;
        but never if the shortest wait of late would be too: then late results beat none.
        """
        with self._lock:
            step = self._ladder.step
            cost = self._cost_ms.get(step, 0.0)
            self._waits_ms.append(age_ms)
            unavoidable = min(self._waits_ms) if len(self._waits_ms) >= _ENOUGH else 0.0
        hopeful = self.budget_ms > 0 and unavoidable + cost <= self.budget_ms
        return Verdict(self.may_drop and hopeful and age_ms + cost > self.budget_ms, step)

    def learn(self, cost_ms: float, age_ms: float, step: int, now_s: float) -> None:
        """Take note of a result: what it cost from the encoder on, and how old it was."""
        with self._lock:
            known = self._cost_ms.get(step, cost_ms)
            self._cost_ms[step] = known + _SMOOTHING * (cost_ms - known)
            self._ladder.observe(age_ms, step, now_s)
