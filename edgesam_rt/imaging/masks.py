"""What is done with masks and boxes: up to picture size, stability, outlines, suppression."""

from __future__ import annotations

import itertools
import math

import numpy as np

from edgesam_rt.errors import ShapeError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.types import F32, F64, I64, AnyArray, Bool

MAX_FLOAT_PIXELS = 4_000_000  # larger pictures are made in bands: 16 MB of logits at once, no more
_NMS_ROWS = 64  # boxes compared with all that are left at once: 0.5 MB per 1,000 of them


def to_image(logits: F32, fit: Fit, threshold: float) -> Bool:
    """Return one mask at the size of the picture.

    The padding of the encoder's square is cut off before the logits are resized (bilinear, pixel
    centres at half, edges repeated), so that it cannot bleed in.

    Args:
        logits: (h, w) unbounded, from the top left of the encoder square; the longer of h and w
            spans it.
        fit: where the picture lies in that square.
        threshold: the cut, in logits; the mask is what lies above it.

    Returns:
        (H, W) bool.
    """
    if fit.mask_side:
        logits, fit = _in_square(logits, fit.mask_side), fit.in_frame(fit.mask_side)
    h, w = fit.image_hw
    cells_h, cells_w = cells_covered(logits.shape, fit)
    inside = logits[: math.ceil(cells_h), : math.ceil(cells_w)]
    grow_h, grow_w = h / cells_h, w / cells_w
    if h * w > MAX_FLOAT_PIXELS:
        return in_bands(resized(inside, 1.0, grow_w)[:, :w], grow_h, (0, h), threshold)
    mask: Bool = resized(inside, grow_h, grow_w)[:h, :w] > threshold
    return mask


def cells_covered(cells_hw: tuple[int, ...], fit: Fit) -> tuple[float, float]:
    """How many rows and columns of low-resolution cells (..., h, w) the picture covers."""
    h, w = fit.scaled_hw
    per_px = max(cells_hw[-2:]) / fit.side
    return h * per_px, w * per_px


def _in_square(logits: F32, side: int) -> F32:
    """Logits of a whole encoder square at another side."""
    import cv2

    return np.asarray(cv2.resize(logits, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def resized(values: F32, grow_h: float, grow_w: float) -> F32:
    """Resize by exact factors; the size is rounded to whole pixels."""
    import cv2

    values = np.ascontiguousarray(values, np.float32)
    grown = cv2.resize(values, None, fx=grow_w, fy=grow_h, interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32)


def in_bands(rows: F32, grow_h: float, span: tuple[int, int], threshold: float) -> Bool:
    """Cut between rows of logits, a band for each pair of rows; empty bands cost nothing.

    Args:
        rows: (r, W), already as wide as the picture, or a part of it.
        grow_h: picture rows per row of logits.
        span: first row of the picture that is wanted, and the one behind the last.
        threshold: the cut, in logits.

    Returns:
        (H, W) bool of these rows.
    """
    mask = np.zeros((span[1] - span[0], rows.shape[1]), np.bool_)
    is_in = rows > threshold
    columns = np.flatnonzero(is_in.any(0))
    if not len(columns):
        return mask
    part = np.s_[int(columns[0]) : int(columns[-1]) + 1]
    has_any, rows = np.asarray(is_in.any(1)), rows[:, part]
    last = len(rows) - 1
    at = np.clip((np.arange(*span) + 0.5) / grow_h - 0.5, 0, last)
    above = np.minimum(at.astype(np.int64), max(last - 1, 0))
    weights = (at - above).astype(np.float32)[:, None]
    edges = np.searchsorted(above, np.arange(last + 2)).tolist()
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        below = min(i + 1, last)
        if stop > start and (has_any[i] or has_any[below]):
            rise = weights[start:stop] * (rows[below] - rows[i])
            np.greater(rise, threshold - rows[i], out=mask[start:stop, part])
    return mask


def stability_scores(logits: F32, threshold: float, offset: float) -> F32:
    """Return how little each mask changes when its cut moves by the offset.

    It is the IoU of the mask cut at `threshold + offset` with the one cut at `threshold - offset`.

    Args:
        logits: (K, h, w), unbounded.
        threshold: the cut in logits; 0.0 is the model's own boundary.
        offset: distance in logits to both sides, > 0.

    Returns:
        (K,) in [0, 1]; an empty mask scores 0.0.

    Raises:
        ShapeError: the logits are not 3-D.

    Source: Kirillov et al. 2023, "Segment Anything", automatic masks.
    """
    if logits.ndim != 3:
        raise ShapeError(f"stability_scores: expected (K, h, w) logits, got {logits.shape}.")
    scores = np.zeros(len(logits), np.float32)
    for i, each in enumerate(logits):
        wide = np.count_nonzero(each > threshold - offset)
        if wide:
            scores[i] = np.count_nonzero(each > threshold + offset) / wide
    return scores


def outlines(mask: Bool) -> list[F32]:
    """Return the outer outlines of a mask; holes are left out.

    An outline runs through the centres of the pixels at the edge; points on a straight line
    (horizontal, vertical, diagonal) are left out.

    Args:
        mask: (H, W) bool.

    Returns:
        For each separate part (V, 2) px, x then y, where the first pixel's centre is 0.5, 0.5.
    """
    import cv2

    pixels = np.ascontiguousarray(mask).view(np.uint8)
    found, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [line.reshape(-1, 2).astype(np.float32) + np.float32(0.5) for line in found]


def box_iou(boxes_a: AnyArray, boxes_b: AnyArray) -> F64:
    """Return the intersection over union of every box of a with every box of b.

    Args:
        boxes_a: (A, 4) left, top, right, bottom, right and bottom exclusive.
        boxes_b: (B, 4) likewise.

    Returns:
        (A, B) in [0, 1]; 0 where both boxes are empty.
    """
    a, b = np.asarray(boxes_a, np.float64), np.asarray(boxes_b, np.float64)
    ax0, ay0, ax1, ay1 = a.T[:, :, None]
    bx0, by0, bx1, by1 = b.T[:, None]
    shared = _side(np.maximum(ax0, bx0), np.minimum(ax1, bx1))
    shared *= _side(np.maximum(ay0, by0), np.minimum(ay1, by1))
    union = _side(ax0, ax1) * _side(ay0, ay1) + _side(bx0, bx1) * _side(by0, by1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _side(start: F64, end: F64) -> F64:
    """Lengths, 0 where the end comes before the start."""
    return np.maximum(end - start, 0.0)


def nms(boxes_xyxy: AnyArray, scores: AnyArray, iou_threshold: float) -> I64:
    """Return which boxes are left when those that overlap a better one are dropped.

    Args:
        boxes_xyxy: (K, 4) left, top, right, bottom.
        scores: (K,) the higher the better; ties go to the lower index.
        iou_threshold: boxes with a larger IoU than this are taken for the same object, in [0, 1].

    Returns:
        Indices of the boxes kept, by falling score.
    """
    left = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    kept = [left[:0]]
    while len(left):
        rivals = left[:_NMS_ROWS]
        apart = box_iou(boxes[rivals], boxes[left]) <= iou_threshold
        alive = np.ones(len(left), np.bool_)
        for i in range(len(rivals)):
            if alive[i]:
                alive[i + 1 :] &= apart[i, i + 1 :]
        kept.append(rivals[alive[: len(rivals)]])
        left = left[_NMS_ROWS:][alive[_NMS_ROWS:]]
    return np.concatenate(kept)
