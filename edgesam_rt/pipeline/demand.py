"""Processor time that results take, and whether results of a better step would fit a quota."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edgesam_rt.boards import LadderStep
from edgesam_rt.pipeline.ladder import Seen, times_the_cost

WINDOW_S = 1.0  # over which processor time is counted
SHORTEST_S = 0.3  # less tells nothing
MARGIN = 0.9  # share of the quota that may be planned with


class Demand:
    """Under a quota, a step too costly looks cheap until the quota is used up; then all stops.

    Args:
        steps: of the ladder.
        cpu_s: processor time of this process so far, seconds.

    Attributes:
        quota: cores that the process may use; None is no limit.
    """

    def __init__(
        self, steps: Sequence[LadderStep], cpu_s: Callable[[], float] = time.process_time
    ) -> None:
        self.quota: float | None = None
        self._steps, self._cpu_s = tuple(steps), cpu_s
        self._step = -1
        self._since = (0.0, 0.0)  # time and processor time
        self._results = self._fresh = 0
        self._each_cores: float | None = None  # used at this step, in the last whole window
        self._fresh_share = 1.0

    def note(self, seen: Seen, now_s: float) -> None:
        """Take note of a result."""
        is_new = seen.step != self._step
        if is_new or now_s - self._since[0] >= WINDOW_S:
            self._each_cores = None if is_new else self._cores(now_s)
            self._fresh_share = 1.0 if is_new else max(self._fresh, 1) / max(self._results, 1)
            self._step, self._since = seen.step, (now_s, self._cpu_s())
            self._results = self._fresh = 0
        self._results += 1
        self._fresh += int(seen.is_fresh)

    def fits(self, target: int, now_s: float) -> bool:
        """Whether results at a better step would stay within the quota, as far as is known."""
        used = self._each_cores if self._each_cores is not None else self._cores(now_s)
        if self.quota is None or used is None or self._step <= target:
            return True
        own, better = self._steps[self._step], self._steps[target]
        more = times_the_cost(self._steps, target, self._step)
        more *= own.encode_every / better.encode_every
        if own.reuse_ms > better.reuse_ms:
            more /= self._fresh_share
        return used * more <= MARGIN * self.quota

    def _cores(self, now_s: float) -> float | None:
        """Cores used since the window began; None if that was just now."""
        passed_s = now_s - self._since[0]
        return (self._cpu_s() - self._since[1]) / passed_s if passed_s >= SHORTEST_S else None
