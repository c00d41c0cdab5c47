"""Boxes that a network gives for every cell, down to those worth asking about."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.masks import nms
from edgesam_rt.manifest import BoxFacts
from edgesam_rt.types import F32, I64


def choose_boxes(
    xyxy: F32, scores: F32, image_hw: tuple[int, int], facts: BoxFacts, candidates: int
) -> tuple[F32, F32]:
    """Return the best boxes that do not overlap each other too much; see `choose_rows`.

    Returns:
        (K, 4) clipped to the picture and none of them empty, and (K,), by falling score.
    """
    rows, boxes = choose_rows(xyxy, scores, image_hw, facts, candidates)
    return boxes, scores[rows]


def choose_rows(
    xyxy: F32, scores: F32, image_hw: tuple[int, int], facts: BoxFacts, candidates: int
) -> tuple[I64, F32]:
    """Return which boxes are the best that do not overlap each other too much.

    Args:
        xyxy: (N, 4) left, top, right, bottom, px of the picture; may reach out of it.
        scores: (N,).
        image_hw: height and width of the picture, px.
        facts: which are taken.
        candidates: best boxes that suppression looks at; bounds its time.

    Returns:
        (K,) their rows by falling score, and (K, 4) clipped to the picture, none of them empty.
    """
    h, w = image_hw
    sure = np.flatnonzero(scores >= facts.score_thresh)  # nearly all cells end here
    boxes = xyxy[sure].clip(0, np.array([w, h, w, h], np.float32))
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, rows = boxes[has_area], sure[has_area]
    best = np.argsort(-scores[rows], kind="stable")[:candidates]
    boxes, rows = boxes[best], rows[best]
    kept = nms(boxes, scores[rows], facts.nms_thresh)[: facts.max_boxes]
    return rows[kept], boxes[kept]
