"""Histograms that grow with what they are shown, exactly.

Bins are powers of two wide, so that doubling the range merges bins in pairs and no value ever
changes its bin: shown in any order and in any portions, the same values give the same counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from edgesam_rt.types import F32, F64, I64

HALF_BINS = 4096  # on either side of zero: the used half has over 2,000 of them, 8 per level
_SMALLEST = -30  # exponent of the range at the start
_CHUNK = 1 << 18  # values counted at a time: they stay in the second-level cache


def _empty() -> I64:
    return np.zeros(2 * HALF_BINS, np.int64)


@dataclass
class Histogram:
    """How often which values came.

    Attributes:
        exponent: bins cover [-2**exponent, 2**exponent).
        counts: (2 * HALF_BINS,) values per bin, exact zeros left out.
        zeros: exact zeros. They are no error whatever the range is, and ReLU makes many.
    """

    exponent: int = _SMALLEST
    counts: I64 = field(default_factory=_empty)
    zeros: int = 0

    @property
    def width(self) -> float:
        """Of one bin."""
        return math.ldexp(1.0, self.exponent) / HALF_BINS

    @property
    def centres(self) -> F64:
        """(2 * HALF_BINS,) middles of the bins."""
        return np.asarray((np.arange(-HALF_BINS, HALF_BINS) + 0.5) * self.width, np.float64)

    def add(self, values: F32) -> None:
        """Count finite values of any shape."""
        flat = values.reshape(-1)
        for at in range(0, flat.size, _CHUNK):
            self._add(flat[at : at + _CHUNK])

    def _add(self, values: F32) -> None:
        largest = float(np.abs(values).max())
        while largest >= math.ldexp(1.0, self.exponent):
            self._double()
        zeros = values.size - int(np.count_nonzero(values))
        # A power of two: the product is exact, and so is the floor.
        bins = np.floor(values * np.float32(1 / self.width)).astype(np.int32) + HALF_BINS
        self.counts += np.bincount(bins, minlength=2 * HALF_BINS)
        self.counts[HALF_BINS] -= zeros
        self.zeros += zeros

    def _double(self) -> None:
        merged = self.counts.reshape(HALF_BINS, 2).sum(1)
        self.counts = _empty()
        self.counts[HALF_BINS // 2 : HALF_BINS // 2 + HALF_BINS] = merged
        self.exponent += 1
