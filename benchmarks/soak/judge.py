"""What samples of a long run say of leaks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 2_000  # results after which nothing may grow
PER = 50_000  # results that growth is given for
CURVE = 100  # moments of the run that a report keeps, about
LATE = 0.25  # of the run: its first and last such part are compared where a count is no line


@dataclass(frozen=True)
class Sample:
    """The process at one moment.

    Attributes:
        at_s: since the start.
        results: made so far.
        anonymous_mib: memory of its own, without mapped files.
        threads, descriptors: open ones.
    """

    at_s: float
    results: int
    anonymous_mib: float
    threads: int
    descriptors: int


@dataclass(frozen=True)
class Growth:
    """How a run grew after its warm-up.

    Attributes:
        results: the samples span.
        mib_per_50000: slope of the least-squares line through the memory, by results.
        anonymous_mib: smallest, median and largest.
        threads, descriptors: median of the first and of the last quarter.
    """

    results: int
    mib_per_50000: float
    anonymous_mib: tuple[float, float, float]
    threads: tuple[float, float]
    descriptors: tuple[float, float]


def growth(samples: Sequence[Sample]) -> Growth:
    """Judge the samples after the warm-up.

    Raises:
        ValueError: fewer than four samples after it.
    """
    used = [s for s in samples if s.results >= WARM_UP]
    if len(used) < 4:
        raise ValueError(f"only {len(used)} samples after {WARM_UP} results; let it run longer")
    results = np.array([s.results for s in used], np.float64)
    memory = np.array([s.anonymous_mib for s in used])
    slope = float(np.polynomial.Polynomial.fit(results, memory, 1).convert().coef[1])
    low, middle, high = (float(x) for x in np.percentile(memory, (0, 50, 100)))
    return Growth(
        results=int(results[-1] - results[0]),
        mib_per_50000=slope * PER,
        anonymous_mib=(low, middle, high),
        threads=_ends([s.threads for s in used]),
        descriptors=_ends([s.descriptors for s in used]),
    )


def curve(samples: Sequence[Sample]) -> list[tuple[int, float]]:
    """Results and memory in MiB at moments spread over the run."""
    every = max(1, len(samples) // CURVE)
    return [(s.results, round(s.anonymous_mib, 2)) for s in samples[::every]]


def _ends(counts: Sequence[int]) -> tuple[float, float]:
    part = max(1, int(len(counts) * LATE))
    return float(np.median(counts[:part])), float(np.median(counts[-part:]))
