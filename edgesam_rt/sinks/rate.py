"""How many results come per second."""

from __future__ import annotations

from collections import deque

from edgesam_rt.clock import CLOCK, Clock

_OVER = 30  # results: the rate is their mean


class Rate:
    """The rate of the newest results."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._times_ns: deque[int] = deque(maxlen=_OVER + 1)

    def after_one_more(self) -> float | None:
        """Count a result that comes now; return results per second, None after the first."""
        self._times_ns.append(self._clock.now_ns())
        passed_ns = self._times_ns[-1] - self._times_ns[0]
        return (len(self._times_ns) - 1) * 1e9 / passed_ns if passed_ns else None
