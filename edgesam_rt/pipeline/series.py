"""The newest values of something that is measured again and again, in memory that never grows."""

from __future__ import annotations

import numpy as np

from edgesam_rt.types import F64

KEPT = 10_000  # newest values that percentiles are taken of


class Series:
    """A ring of numbers.

    Attributes:
        count: values so far, also those that are not kept any more.

    Args:
        kept: how many of the newest are.
    """

    def __init__(self, kept: int = KEPT) -> None:
        # Written, not only reserved: a long run takes no more memory than its first second.
        self._ring = np.full(kept, np.nan)
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more, in the place of the oldest if there is no room."""
        self._ring[self.count % len(self._ring)] = value
        self.count += 1

    def newest(self, most: int) -> F64:
        """(N,) float64, a copy: the newest, at most so many, in no order that matters."""
        size = len(self._ring)
        held = min(most, self.count, size)
        picked: F64 = self._ring[np.arange(self.count - held, self.count) % size]
        return picked

    def values(self) -> F64:
        """(N,) float64, a copy: all that are kept."""
        held: F64 = self._ring[: min(self.count, len(self._ring))].copy()
        return held
