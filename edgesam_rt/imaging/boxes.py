"""Boxes that a network gives for every cell, down to those worth asking about."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.masks import nms
from edgesam_rt.types import F32


def choose_boxes(
    xyxy: F32,
    scores: F32,
    image_hw: tuple[int, int],
    *,
    score_thresh: float,
    nms_thresh: float,
    max_boxes: int,
    candidates: int,
) -> tuple[F32, F32]:
    """Return the best boxes that do not overlap each other too much.

    Args:
        xyxy: (N, 4) left, top, right, bottom, px of the picture; may reach out of it.
        scores: (N,).
        image_hw: height and width of the picture, px.
        score_thresh: boxes with a lower score are dropped.
        nms_thresh: of two boxes with a larger IoU the one with the lower score is dropped.
        max_boxes: the best are kept.
        candidates: best boxes that suppression looks at; bounds its time.

    Returns:
        (K, 4) clipped to the picture and none of them empty, and (K,), by falling score.
    """
    h, w = image_hw
    sure = np.flatnonzero(scores >= score_thresh)  # nearly all cells end here
    boxes = xyxy[sure].clip(0, np.array([w, h, w, h], np.float32))
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, found = boxes[has_area], scores[sure[has_area]]
    best = np.argsort(-found, kind="stable")[:candidates]
    boxes, found = boxes[best], found[best]
    kept = nms(boxes, found, nms_thresh)[:max_boxes]
    return boxes[kept], found[kept]
