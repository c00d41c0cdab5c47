"""Masks at picture size, and their area, box and pixel counts, without making an array of logits.

Between the centres of four neighbouring low-resolution cells lies a quad of pixels, and bilinear
interpolation stays between the four corners. So a quad whose corners are all above the cut is
inside, one with none above is outside, and only quads at the outline, a few hundred of thousands,
have to be interpolated. What comes out is what resizing the logits and cutting them would give
(OpenCV's INTER_LINEAR: pixel centres at half, edges repeated), for all masks at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.types import F32, I64, Bool

_AT_ONCE = 1 << 18  # pixels interpolated at a time: a few arrays of 1 MB


class _Axis(NamedTuple):
    """How pixels along one axis fall into quads; quad i lies between the centres of cells i, i+1.

    Attributes:
        first: (n + 1,) first pixel of each quad, and the end.
        held: (n,) pixels of each quad.
        weight: (n, P) share of the far corner for each pixel of a quad; NaN behind the last one.
    """

    first: I64
    held: I64
    weight: F32


@lru_cache(maxsize=32)
def _axis(cells: int, pixels: int, per_cell: float) -> _Axis:
    at = (np.arange(pixels, dtype=np.float64) + 0.5) / per_cell - 0.5
    at = at.clip(0, cells - 1)
    quad = np.minimum(at.astype(np.int64), cells - 1)
    first = np.searchsorted(quad, np.arange(cells + 1))
    count = np.diff(first)
    weight = np.full((cells, max(1, int(count.max()))), np.nan, np.float32)
    weight[quad, np.arange(pixels) - first[quad]] = at - quad
    return _Axis(first, count, weight)


class Upscaled:
    """K masks of one picture, at its size.

    Args:
        logits: (K, h, w) float32, from the top left of the encoder square; the longer of h and w
            spans it.
        fit: where the picture lies in that square.
    """

    def __init__(self, logits: F32, fit: Fit) -> None:
        per_px = max(logits.shape[-2:]) / fit.side
        covered = [n * per_px for n in fit.scaled_hw]
        rows, columns = (math.ceil(n) for n in covered)
        self.image_hw = fit.image_hw
        self._corners = np.pad(logits[:, :rows, :columns], ((0, 0), (0, 1), (0, 1)), "edge")
        h, w = fit.image_hw
        self._rows = _axis(rows, h, h / covered[0])
        self._columns = _axis(columns, w, w / covered[1])

    def __len__(self) -> int:
        """K."""
        return len(self._corners)

    def counts(self, cut: float) -> I64:
        """(K,) pixels above a cut."""
        inside, edge = self._quads(cut)
        by_row = inside.astype(np.float32) @ self._columns.held.astype(np.float32)
        found = by_row.astype(np.float64) @ self._rows.held
        for part in self._parts(edge):
            above = np.count_nonzero(self._interpolated(part) > cut, axis=(1, 2))
            found += np.bincount(part[0], above, len(found))
        return np.asarray(found, np.int64)

    def stability_scores(self, cut: float, offset: float) -> F32:
        """(K,) as `imaging.masks.stability_scores`, counted in pixels of the picture."""
        wide = self.counts(cut - offset)
        sure = self.counts(cut + offset)
        shares = np.divide(sure, wide, out=np.zeros(len(wide)), where=wide > 0)
        return np.asarray(shares, np.float32)

    def boxes(self, cut: float) -> F32:
        """(K, 4) left, top, right, bottom px of what is above a cut, exclusive; zeros if empty."""
        inside, edge = self._quads(cut)
        inside &= (self._rows.held[:, None] > 0) & (self._columns.held > 0)
        lines = np.asarray(inside.any(1)), np.asarray(inside.any(2))
        axes = self._columns, self._rows
        low = np.stack([_first_of(*pair) for pair in zip(lines, axes, strict=True)])
        high = np.stack([_end_of(*pair) for pair in zip(lines, axes, strict=True)])
        for part in self._parts(edge & self._beyond(low, high)):
            above = self._interpolated(part) > cut
            some = above.any((1, 2))
            mask, row, column = (index[some] for index in part)
            for axis, (quads, spans) in enumerate(zip((column, row), axes, strict=True)):
                line: Bool = np.asarray(above[some].any(1 + axis))
                start = spans.first[quads] + line.argmax(1)
                end = spans.first[quads] + line.shape[1] - line[:, ::-1].argmax(1)
                np.minimum.at(low[axis], mask, start)
                np.maximum.at(high[axis], mask, end)
        boxes: F32 = np.concatenate([low, high]).T.astype(np.float32)
        boxes[(high <= low).any(0)] = 0
        return boxes

    def sampled(self, xy: F32) -> F32:
        """(K, N) logits at the pixels that N points (N, 2) lie in."""
        h, w = self.image_hw
        x = np.clip(xy[:, 0].astype(np.int64), 0, w - 1)
        y = np.clip(xy[:, 1].astype(np.int64), 0, h - 1)
        row = np.searchsorted(self._rows.first, y, "right") - 1
        column = np.searchsorted(self._columns.first, x, "right") - 1
        fy = self._rows.weight[row, y - self._rows.first[row]]
        fx = self._columns.weight[column, x - self._columns.first[column]]
        v = self._corners
        top = v[:, row, column] + (v[:, row, column + 1] - v[:, row, column]) * fx
        below = v[:, row + 1, column]
        bottom = below + (v[:, row + 1, column + 1] - below) * fx
        return np.asarray(top + (bottom - top) * fy, np.float32)

    def _quads(self, cut: float) -> tuple[Bool, Bool]:
        """(K, h, w) quads inside, and those that the cut goes through."""
        above = self._corners > cut
        both = above[:, 1:] & above[:, :-1]
        either = above[:, 1:] | above[:, :-1]
        inside = both[..., 1:] & both[..., :-1]
        return inside, (either[..., 1:] | either[..., :-1]) & ~inside

    def _beyond(self, low: I64, high: I64) -> Bool:
        """(K, h, w) quads that are not within a box: only they can widen it.

        `low` and `high` are (2, K): first x and y of each mask's box, and the ends behind the last.
        """
        columns, rows = (
            (spans.first[:-1] < low[axis][:, None]) | (spans.first[1:] > high[axis][:, None])
            for axis, spans in enumerate((self._columns, self._rows))
        )
        return np.asarray(rows[:, :, None] | columns[:, None])

    def _parts(self, edge: Bool) -> Iterator[tuple[I64, I64, I64]]:
        """(mask, row, column) of quads, in portions that fit into memory; empty ones left out."""
        held = (self._rows.held[:, None] > 0) & (self._columns.held > 0)
        at = np.flatnonzero(edge & held)
        each = self._rows.weight.shape[1] * self._columns.weight.shape[1]
        size = max(1, _AT_ONCE // each)
        for start in range(0, len(at), size):
            mask, row, column = np.unravel_index(at[start : start + size], edge.shape)
            yield mask, row, column

    def _interpolated(self, part: tuple[I64, I64, I64]) -> F32:
        """(Q, Py, Px) logits of the pixels of quads; NaN where a quad has fewer."""
        mask, row, column = part
        flat = self._corners.reshape(-1)
        _, h, w = self._corners.shape
        at = (mask * h + row) * w + column
        fx, fy = self._columns.weight[column], self._rows.weight[row]
        left, left_below = flat[at, None], flat[at + w, None]
        top = left + (flat[at + 1, None] - left) * fx
        bottom = left_below + (flat[at + w + 1, None] - left_below) * fx
        return np.asarray(top[:, None] + (bottom - top)[:, None] * fy[..., None], np.float32)


def _first_of(line: Bool, spans: _Axis) -> I64:
    """(K,) first pixel of the quads in lines (K, n); behind all where there is none."""
    nothing = spans.first[-1]
    return np.asarray(np.where(line.any(1), spans.first[line.argmax(1)], nothing), np.int64)


def _end_of(line: Bool, spans: _Axis) -> I64:
    """(K,) pixel behind the last of them; 0 where there is none."""
    last = line.shape[1] - line[:, ::-1].argmax(1)
    return np.asarray(np.where(line.any(1), spans.first[last], 0), np.int64)
