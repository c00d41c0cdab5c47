"""SAM's clean-up of a mask: small holes are filled, then small islands dropped."""

from __future__ import annotations

import cv2
import numpy as np

from edgesam_rt.types import I64, Bool
from tests.oracles.shapes import mask_of

_NEIGHBOURS = 8


def without_small_regions(runs: I64, image_hw: tuple[int, int], min_area: int) -> tuple[Bool, bool]:
    """The mask without regions smaller than `min_area` px, and whether it had any.

    A mask whose only island is small keeps it, and yet counts as changed, as in SAM.
    """
    mask = mask_of(runs, image_hw)
    filled = mask.copy()
    small_holes = [hole for hole in regions(~mask) if hole.sum() < min_area]
    for hole in small_holes:
        filled |= hole
    islands = regions(filled)
    kept = [island for island in islands if island.sum() >= min_area]
    has_small = bool(small_holes) or len(kept) < len(islands)
    if not kept and islands:  # all are small: the largest stays, the first of equals
        kept = [max(islands, key=lambda island: int(island.sum()))]
    out: Bool = np.zeros(image_hw, np.bool_)
    for island in kept:
        out |= island
    return out, has_small


def regions(mask: Bool) -> list[Bool]:
    """Its connected parts, each as a mask; a corner connects."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=_NEIGHBOURS)
    return [labels == i for i in range(1, count)]
