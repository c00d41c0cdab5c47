"""The points of TinySAM's two passes: a coarse grid, then finer ones where nothing was sure yet."""

from __future__ import annotations

import numpy as np

from edgesam_rt.types import F32

COARSER = 4  # the coarse grid has this many times fewer points per side
_STEPS = (
    2,
    1,
    -1,
    0,
)  # from a coarse point to its fine ones, in strides; 2 is half way to the next


def fine_points(coarse: F32, points_per_side: int, image_hw: tuple[int, int]) -> F32:
    """(N, 2) points around (C, 2) coarse ones, px: up to 15 each, none beyond the picture.

    Strides are whole pixels, at least 1. The points farthest from all coarse ones come first, so
    every beginning covers the picture evenly.

    Source: tinysam/hierarchical_mask_generator.py, hierarchical_generate.
    """
    h, w = image_hw
    stride = np.array([max(1, w // points_per_side), max(1, h // points_per_side)], np.float32)
    dx, dy = (v.ravel() for v in np.meshgrid(_STEPS, _STEPS))
    around = np.stack([dx, dy], -1)[(dx != 0) | (dy != 0)][:, None]
    points = coarse + around * stride
    beyond = (around == max(_STEPS)) & (points >= np.array([w, h]))
    return np.asarray(points[~beyond.any(-1)], np.float32)
