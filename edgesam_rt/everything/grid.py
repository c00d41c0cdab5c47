"""The points that SAM's automatic mask generator asks with, and the crops it asks them in."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from edgesam_rt.types import F32, I64


def points(points_per_side: int, image_hw: tuple[int, int]) -> F32:
    """(n * n, 2) points at the centres of an n x n grid over the picture, px, x fastest.

    Source: segment_anything/utils/amg.py, build_point_grid.
    """
    h, w = image_hw
    at = (np.arange(points_per_side, dtype=np.float32) + 0.5) / points_per_side
    xs, ys = np.meshgrid(at * w, at * h)
    return np.stack([xs.ravel(), ys.ravel()], -1).astype(np.float32)


def coarse_to_fine(points_per_side: int) -> I64:
    """(n * n,) an order of the grid's points in which every beginning covers the picture evenly.

    Both coordinates' bits are reversed and interleaved, as in a Z-order curve read from the far
    end: after 4**k points of a grid of 2**m there is one in each of 4**k equal squares.
    """
    bits = max(1, (points_per_side - 1).bit_length())
    at = np.arange(points_per_side)
    reverse = np.zeros(points_per_side, np.int64)
    for i in range(bits):
        reverse |= (at >> i & 1) << 2 * (bits - 1 - i)
    rank = (reverse[:, None] << 1) | reverse[None, :]
    order: I64 = np.argsort(rank.ravel(), kind="stable")
    return order


class Crop(NamedTuple):
    """A part of the picture, asked about as if it were one; px, right and bottom exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.y1 - self.y0, self.x1 - self.x0


def crops(image_hw: tuple[int, int], layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole picture, then 4**i overlapping parts of it for every layer i.

    Source: segment_anything/utils/amg.py, generate_crop_boxes.
    """
    h, w = image_hw
    found = [Crop(0, 0, w, h, 0)]
    for layer in range(1, layers + 1):
        n = 2**layer
        overlap = int(overlap_ratio * min(h, w) * (2 / n))
        ch, cw = (math.ceil((overlap * (n - 1) + side) / n) for side in (h, w))
        xs = [int((cw - overlap) * i) for i in range(n)]
        ys = [int((ch - overlap) * i) for i in range(n)]
        for x0, y0 in itertools.product(xs, ys):
            found.append(Crop(x0, y0, min(x0 + cw, w), min(y0 + ch, h), layer))
    return found
