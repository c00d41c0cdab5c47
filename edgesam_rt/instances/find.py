"""An embedding of a one-shot segmenter to the instances worth making: thresholds, suppression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.imaging.boxes import choose_rows
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.instances.tensors import COEFFICIENTS
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.records import Embedding
from edgesam_rt.types import F32, AnyArray

CANDIDATES = 1000  # best boxes that suppression looks at: 4 ms of one core at most


class Found(NamedTuple):
    """K instances of one picture, by falling score; none of their masks is made.

    Attributes:
        boxes_xyxy: (K, 4) px of the picture and within it; their masks end there.
        scores: (K,) in [0, 1].
        coefficients: (K, D) of the prototypes.
    """

    boxes_xyxy: F32
    scores: F32
    coefficients: F32

    def pick(self, index: slice | AnyArray) -> Found:
        """Some of them."""
        return Found(*(values[index] for values in self))


def find(embedding: Embedding, facts: InstanceFacts) -> Found:
    """Find the instances of a picture.

    Args:
        embedding: with the tensors of `instances/tensors.py`.
        facts: which are taken.

    Returns:
        At most `facts.max_boxes`; possibly none.
    """
    tensors, fit = embedding.tensors, embedding.fit
    corners = tensors[BOXES][0].reshape(-1, 2, 2) / np.float32(fit.side)
    boxes, scores = fit.from_unit(corners).reshape(-1, 4), tensors[SCORES][0]
    rows, boxes = choose_rows(boxes, scores, fit.image_hw, facts, CANDIDATES)
    coefficients = np.ascontiguousarray(tensors[COEFFICIENTS][0][:, rows].T)
    return Found(widened(boxes, fit, facts), scores[rows], coefficients)


def widened(boxes_xyxy: F32, fit: Fit, facts: InstanceFacts) -> F32:
    """Boxes that end near the picture's edge brought there, so that no mask is cut off before it.

    Sides nearer than `border_px` go to the edge; boxes that are nearly the picture become it.
    """
    h, w = fit.image_hw
    ends = np.array([w, h], np.float32)
    near = facts.border_px * ends / np.array(fit.scaled_hw[::-1], np.float32)
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    low, high = np.where(low < near, 0, low), np.where(high > ends - near, ends, high)
    out = np.concatenate([low, high], 1).astype(np.float32)
    whole = np.array([[0, 0, w, h]], np.float32)
    out[box_iou(out, whole)[:, 0] > facts.whole_iou] = whole
    return out
