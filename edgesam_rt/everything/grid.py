"""The uniform grid of points that SAM's automatic mask generator asks with."""

from __future__ import annotations

import numpy as np

from edgesam_rt.types import F32


def points(points_per_side: int, image_hw: tuple[int, int]) -> F32:
    """(n * n, 2) points at the centres of an n x n grid over the picture, px, x fastest.

    Source: segment_anything/utils/amg.py, build_point_grid.
    """
    h, w = image_hw
    at = (np.arange(points_per_side, dtype=np.float32) + 0.5) / points_per_side
    xs, ys = np.meshgrid(at * w, at * h)
    return np.stack([xs.ravel(), ys.ravel()], -1).astype(np.float32)
