"""Progress for a person at a terminal: not too often, and with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

Say = Callable[[str], None]
EVERY_S = 5.0  # between two lines


class Ticker:
    """Says how far a row of equal pieces is, at most every few seconds."""

    def __init__(
        self,
        say: Say,
        what: str,
        total: int,
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            say: takes a line.
            what: the pieces: "step", "photo".
            total: how many there are.
            done: how many an earlier run did.
            clock: seconds.
        """
        self._say, self._what, self._total, self._clock = say, what, total, clock
        self._first, self._began = done, clock()
        self._said = self._began

    def at(self, done: int, more: str = "") -> None:
        """Pieces `done`, and words to add; says nothing if the last line is too fresh."""
        now = self._clock()
        if now - self._said < EVERY_S and done < self._total:
            return
        self._said = now
        left = (now - self._began) / max(1, done - self._first) * (self._total - done)
        words = [f"{self._what} {done} of {self._total}", more, f"{duration(left)} left"]
        self._say(", ".join(w for w in words if w))


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
