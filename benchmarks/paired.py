"""Two things measured in turns on a machine that others share: the ratio of each turn, its median.

What disturbs the machine for longer than a turn disturbs both sides of it; what is shorter spoils
single turns, which a median forgives.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

CONFIDENCE = 0.95


def ratio_of_turns(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """The median of `after / before` by turns, and where it lies with 95 % confidence.

    The interval is between two of the sorted ratios, as the sign test has it (binomial, no
    assumption on how they are spread); with less than six turns it is from the least to the most.

    Args:
        before: one value per turn, at least one.
        after: the same number.
    """
    ratios = np.sort(np.asarray(after, float) / np.asarray(before, float))
    n, outside = len(ratios), _outside(len(ratios))
    found = {"median": np.median(ratios), "low": ratios[outside], "high": ratios[n - 1 - outside]}
    return {"turns": n, **{key: round(float(value), 3) for key, value in found.items()}}


def _outside(n: int) -> int:
    """How many of n sorted values lie outside of the interval at each end."""
    tail, k = 0.0, 0
    while k < n // 2 and (tail := tail + comb(n, k) / 2**n) <= (1 - CONFIDENCE) / 2:
        k += 1
    return max(0, k - 1)
