"""A deadline, and what the steps on the way to it cost so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgesam_rt.clock import CLOCK, Clock

_SMOOTHING = 0.3  # weight of the newest cost in the running estimate


class Pace:
    """Decides whether another step can be afforded.

    Args:
        deadline_ns: of the clock; None is never.
        clock: another one for tests.
    """

    def __init__(self, deadline_ns: int | None, clock: Clock = CLOCK) -> None:
        self.deadline_ns = deadline_ns
        self._clock = clock
        self._cost_ns: dict[str, float] = {}

    def allows(self, step: str, amount: int, *, reserve_ns: float = 0.0) -> bool:
        """Whether `amount` of a step ends before the deadline; a step never taken costs nothing."""
        if self.deadline_ns is None:
            return True
        cost = self._cost_ns.get(step, 0.0) * amount + reserve_ns
        return self._clock.now_ns() + cost < self.deadline_ns

    @contextmanager
    def spending(self, step: str, amount: int) -> Iterator[None]:
        """Note what `amount` of a step costs."""
        started = self._clock.now_ns()
        yield
        each = (self._clock.now_ns() - started) / max(1, amount)
        known = self._cost_ns.get(step, each)
        self._cost_ns[step] = known + _SMOOTHING * (each - known)
