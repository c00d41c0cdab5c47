"""A part of a mask at the picture's size: only what lies in a box is computed."""

from __future__ import annotations

import math

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.masks import MAX_FLOAT_PIXELS, cells_covered, in_bands, resized
from edgesam_rt.types import F32, F64, I64, Bool


def draw_part(mask: Bool, logits: F32, box_xyxy: F32, fit: Fit, threshold: float) -> None:
    """Set the pixels of a mask that lie in a box and above the threshold, in place.

    In the box it is what `masks.to_image` gives: bilinear, pixel centres at half, edges repeated.

    Args:
        mask: (H, W) of the picture.
        logits: (h, w) as for `masks.to_image`; `fit.mask_side` is not looked at.
        box_xyxy: (4,) px; pixels whose centre lies in it are drawn.
        fit: where the picture lies in the square.
        threshold: the cut, in logits.
    """
    h, w = mask.shape
    x0, y0, x1, y1 = (math.ceil(v - 0.5) for v in box_xyxy.tolist())
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
    if x1 <= x0 or y1 <= y0:
        return
    cells_h, cells_w = cells_covered(logits.shape, fit)
    grow_h, grow_w = h / cells_h, w / cells_w
    rows = resized(logits[: math.ceil(cells_h), : math.ceil(cells_w)], 1.0, grow_w)[:, x0:x1]
    if h * (x1 - x0) > MAX_FLOAT_PIXELS:
        mask[y0:y1, x0:x1] |= in_bands(rows, grow_h, (y0, y1), threshold)
    else:
        mask[y0:y1, x0:x1] |= resized(rows, grow_h, 1.0)[y0:y1] > threshold


def between_cells(centres: F64, per_cell: float, cells: int) -> tuple[I64, I64, F32]:
    """Where pixels lie between the centres of low-resolution cells, along one axis.

    Args:
        centres: (n,) of the pixels, px; the first pixel's is 0.5.
        per_cell: pixels per cell.
        cells: how many there are.

    Returns:
        (n,) the cell before each, (n,) the one behind it, (n,) the share of that, in [0, 1].
    """
    at = (centres / per_cell - 0.5).clip(0, cells - 1)
    before = at.astype(np.int64)
    return before, np.minimum(before + 1, cells - 1), (at - before).astype(np.float32)
