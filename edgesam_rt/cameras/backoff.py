"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 0.5
FACTOR = 2.0


class Backoff:
    """Doubles the wait with every failure up to a bound, and shakes it.

    The shaking takes up to half away, so that twenty cameras that lost one server do not come
    back in the same moment.

    Args:
        most_s: no wait is longer.
        draw: a number in [0, 1); tests put their own here.
    """

    def __init__(self, most_s: float, draw: Callable[[], float] = random.random) -> None:
        self._most_s = most_s
        self._draw = draw
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        grown = FIRST_S * FACTOR ** min(self.failures, 30)
        self.failures += 1
        return min(grown, self._most_s) * (1 - self._draw() / 2)

    def reset(self) -> None:
        """All is well again: the next failure is a first one."""
        self.failures = 0
