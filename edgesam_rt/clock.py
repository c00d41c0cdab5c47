"""The one clock. Monotonic nanoseconds; tests put another one in its place."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the pipeline needs of time."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds."""
        ...

    def sleep_s(self, seconds: float) -> None:
        """Wait."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds."""
        return time.monotonic_ns()

    def sleep_s(self, seconds: float) -> None:
        """Wait; a negative time is no wait."""
        if seconds > 0:
            time.sleep(seconds)


CLOCK = MonotonicClock()


def elapsed_ms(since_ns: int, clock: Clock = CLOCK) -> float:
    """Milliseconds since a time of `clock`."""
    return (clock.now_ns() - since_ns) / 1e6
