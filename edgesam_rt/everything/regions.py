"""Holes and islands of masks: small ones filled and dropped (SAM's `min_mask_region_area`)."""

from __future__ import annotations

import numpy as np

from edgesam_rt.everything.edited import EditedMaskSet
from edgesam_rt.everything.suppress import suppress
from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet
from edgesam_rt.types import Bool


def without_small(mask: Bool, min_area: int, *, holes: bool) -> Bool:
    """A mask without holes, or without islands, of less than `min_area` pixels.

    If all islands are small, the largest stays. Returns the mask itself if nothing changes.

    Source: segment_anything/utils/amg.py, remove_small_regions.
    """
    import cv2

    seen = (mask ^ holes).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    small = np.flatnonzero(sizes < min_area) + 1
    if not len(small):
        return mask
    if holes:
        filled: Bool = mask | np.isin(labels, small)
        return filled
    large = np.setdiff1d(np.arange(1, count), small)
    if not len(large):
        large = np.array([int(sizes.argmax()) + 1])
    return np.isin(labels, large)


def clean(found: MaskSet, min_area: int, nms_thresh: float) -> MaskSet:
    """Fill holes, drop islands, and suppress again; masks that needed no change come first.

    Source: segment_anything/automatic_mask_generator.py, postprocess_small_regions.
    """
    if not min_area or not len(found):
        return found
    runs, boxes, unchanged = [], [], []
    for before, mask in zip(found.runs, found.each_mask(), strict=True):
        whole = without_small(mask, min_area, holes=True)
        whole = without_small(whole, min_area, holes=False)
        unchanged.append(whole is mask)
        runs.append(before if whole is mask else rle.run_lengths(whole))
        boxes.append(rle.runs_to_box(runs[-1], found.image_hw))
    kept = suppress(np.array(boxes, np.float32), np.array(unchanged, np.float32), nms_thresh)
    edited = EditedMaskSet(
        found.low_res_logits,
        found.predicted_iou,
        found.fit,
        found.mask_threshold,
        found.point_coords,
        found.stability_offset,
        found.completeness,
        tuple(runs),
        found.stability_score,
        found.crop_boxes if isinstance(found, EditedMaskSet) else None,
    )
    return edited[kept]
