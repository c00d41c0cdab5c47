"""Suppression as SAM's generator does it: its boxes end on a pixel, ours behind it."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.types import I64, AnyArray

_TO_LAST_PIXEL = np.array([0, 0, 1, 1], np.float32)


def suppress(boxes_xyxy: AnyArray, scores: AnyArray, iou_threshold: float) -> I64:
    """As `imaging.masks.nms` of (K, 4) boxes, right and bottom exclusive; IoUs are SAM's."""
    return mask_ops.nms(boxes_xyxy - _TO_LAST_PIXEL, scores, iou_threshold)
