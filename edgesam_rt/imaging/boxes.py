"""Boxes that a network gives for every cell, down to those worth asking about."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.masks import nms
from edgesam_rt.manifest import BoxFacts
from edgesam_rt.types import F32


def choose_boxes(
    xyxy: F32, scores: F32, image_hw: tuple[int, int], facts: BoxFacts, candidates: int
) -> tuple[F32, F32]:
    """Return the best boxes that do not overlap each other too much.

    Args:
        xyxy: (N, 4) left, top, right, bottom, px of the picture; may reach out of it.
        scores: (N,).
        image_hw: height and width of the picture, px.
        facts: which are taken.
        candidates: best boxes that suppression looks at; bounds its time.

    Returns:
        (K, 4) clipped to the picture and none of them empty, and (K,), by falling score.
    """
    h, w = image_hw
    sure = np.flatnonzero(scores >= facts.score_thresh)  # nearly all cells end here
    boxes = xyxy[sure].clip(0, np.array([w, h, w, h], np.float32))
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, found = boxes[has_area], scores[sure[has_area]]
    best = np.argsort(-found, kind="stable")[:candidates]
    boxes, found = boxes[best], found[best]
    kept = nms(boxes, found, facts.nms_thresh)[: facts.max_boxes]
    return boxes[kept], found[kept]
