"""From a tensor's statistics to the range that is quantized; a row per way.

All of them stay within the smallest and largest value seen: a wider range would only make steps
larger, and would let values through that a ReLU6 merged into its convolution must cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edgesam_engines.ptq.histogram import Histogram
from edgesam_engines.ptq.ranges import Range
from edgesam_engines.ptq.statistics import Statistics
from edgesam_engines.recipe import Calibration
from edgesam_rt.types import F64, I64

LEVELS = 256
_SHRINKS = np.linspace(1.0, 0.05, 96)  # parts of the whole range that are tried


def minmax(statistics: Statistics, _: Calibration) -> Range:
    """Smallest and largest value over all pictures: nothing is cut."""
    return statistics.extremes


def mean_minmax(statistics: Statistics, _: Calibration) -> Range:
    """Mean of the pictures' smallest, and of their largest values."""
    return float(np.mean(statistics.lows)), float(np.mean(statistics.highs))


def moving_average(statistics: Statistics, calibration: Calibration) -> Range:
    """Exponential moving average of the pictures' extremes, from the first picture on.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.1.
    """
    keep = calibration.momentum

    def smoothed(values: list[float]) -> float:
        state = values[0]
        for value in values[1:]:
            state = keep * state + (1 - keep) * value
        return state

    return smoothed(statistics.lows), smoothed(statistics.highs)


def percentile(statistics: Statistics, calibration: Calibration) -> Range:
    """Cut the same share of all values at either end, (100 - percentile) / 2 percent.

    Source: McKinstry et al. 2018, "Discovering Low-Precision Networks Close to Full-Precision
    Networks for Efficient Embedded Inference"; the two sides as ONNX Runtime has them.
    """
    cut = (100 - calibration.percentile_or_default) / 200
    histogram = statistics.histogram
    counts = _with_zeros(histogram)
    below = np.cumsum(counts) / counts.sum()
    low = histogram.centres[int(np.searchsorted(below, cut, side="right"))]
    high = histogram.centres[int(np.searchsorted(below, 1 - cut, side="left"))]
    return _within(statistics, low - histogram.width / 2, high + histogram.width / 2)


def mse(statistics: Statistics, _: Calibration) -> Range:
    """The range with the least squared rounding and cutting error of the values themselves.

    Source: Sung et al. 2015, "Resiliency of Deep Neural Networks under Quantization"; the error is
    that of Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3.1.
    """
    counts, centres = _used(statistics.histogram)
    return _search(statistics, lambda low, high: _squared_error(counts, centres, low, high))


def relative_error(statistics: Statistics, low: float, high: float) -> float:
    """Squared error of a tensor's values in a range, in parts of their squares."""
    counts, centres = _used(statistics.histogram)
    power = float(counts @ centres**2)
    return _squared_error(counts, centres, low, high) / power if power else 0.0


def entropy(statistics: Statistics, _: Calibration) -> Range:
    """The range that keeps most of the values' distribution, by Kullback-Leibler divergence.

    Source: Migacz 2017, "8-bit Inference with TensorRT", GTC; with a zero point instead of
    symmetric ranges. Exact zeros are left out, as there.
    """
    counts, centres = _used(statistics.histogram)
    return _search(statistics, lambda low, high: _divergence(counts, centres, low, high))


ESTIMATORS: dict[str, Callable[[Statistics, Calibration], Range]] = {
    "minmax": minmax,
    "mean_minmax": mean_minmax,
    "moving_average": moving_average,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}


def candidates(extremes: Range, shrinks: F64 = _SHRINKS) -> Iterator[Range]:
    """Ranges to try: the whole one, and both ends drawn towards zero in step, but not past it.

    Every 8-bit range holds zero, so where all values lie on one side the other end is not drawn.
    """
    low, high = extremes
    return (
        (_between(low * float(s), low, high), _between(high * float(s), low, high)) for s in shrinks
    )


def _search(statistics: Statistics, cost: Callable[[float, float], float]) -> Range:
    """The cheapest of the candidates, then either end for itself where there are two."""
    found = min(candidates(statistics.extremes), key=lambda c: cost(*c))
    low, high = statistics.extremes
    if low < 0 < high:
        found = min(((low * float(s), found[1]) for s in _SHRINKS), key=lambda c: cost(*c))
        found = min(((found[0], high * float(s)) for s in _SHRINKS), key=lambda c: cost(*c))
    return found


def _step(low: float, high: float) -> float:
    """Of an 8-bit range, which always holds zero."""
    return (max(high, 0.0) - min(low, 0.0)) / (LEVELS - 1) or 1.0


def _squared_error(counts: I64, centres: F64, low: float, high: float) -> float:
    step = _step(low, high)
    zero = np.round(-min(low, 0.0) / step)
    rounded = (np.clip(np.round(centres / step) + zero, 0, LEVELS - 1) - zero) * step
    return float(counts @ (centres - rounded) ** 2)


def _divergence(counts: I64, centres: F64, low: float, high: float) -> float:
    """KL(values cut to the range, the same in 256 levels)."""
    step = _step(low, high)
    bottom = min(low, 0.0)
    level = np.round((centres - bottom) / step).astype(np.int64)
    inside = (level >= 0) & (level < LEVELS)
    level = level.clip(0, LEVELS - 1)
    kept = np.where(inside, counts, 0)
    if not kept.any():
        return float("inf")
    held = np.bincount(level, kept, LEVELS)
    spread_over = np.bincount(level, kept > 0, LEVELS)
    approximate = np.where(kept > 0, held[level] / np.maximum(spread_over[level], 1), 0.0)
    reference = kept.astype(np.float64)
    used = np.flatnonzero(inside)
    reference[used[0]] += counts[: used[0]].sum()
    reference[used[-1]] += counts[used[-1] + 1 :].sum()
    p = reference / reference.sum()
    q = (approximate + 1e-9) / (approximate.sum() + 1e-9 * len(counts))
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))


def _used(histogram: Histogram) -> tuple[I64, F64]:
    """Counts and centres from the first to the last bin with anything in it."""
    filled = np.flatnonzero(histogram.counts)
    if not len(filled):
        return np.zeros(1, np.int64), np.zeros(1)
    part = slice(int(filled[0]), int(filled[-1]) + 1)
    return histogram.counts[part], histogram.centres[part]


def _with_zeros(histogram: Histogram) -> I64:
    counts: I64 = histogram.counts.copy()
    counts[len(counts) // 2] += histogram.zeros
    return counts


def _within(statistics: Statistics, low: float, high: float) -> Range:
    least, most = statistics.extremes
    return max(float(low), least), min(float(high), most)


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
