"""Masks and boxes for the oracles: one at a time, nothing shared with the runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.types import F32, I64, Bool

Box = tuple[int, int, int, int]


def upscaled(logits: F32, fit: Fit) -> F32:
    """Low-resolution logits at the size of the picture, (H, W); the padding is cut off first.

    Args:
        logits: (h, w) over the encoder's square, or over the part of it that the picture covers.
        fit: where the picture lies in that square.
    """
    cell = fit.side / max(logits.shape)  # encoder pixels per low-resolution cell
    cells_h, cells_w = fit.scaled_hw[0] / cell, fit.scaled_hw[1] / cell
    inside = np.ascontiguousarray(logits[: math.ceil(cells_h), : math.ceil(cells_w)])
    h, w = fit.image_hw
    grown = cv2.resize(inside, None, fx=w / cells_w, fy=h / cells_h, interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown[:h, :w], np.float32)


def tight_box(mask: Bool) -> Box:
    """First and last column and row of a mask, inclusive; zeros if it is empty."""
    ys, xs = np.nonzero(mask)
    if not len(ys):
        return 0, 0, 0, 0
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def box_iou(a: Box, b: Box) -> float:
    """IoU of two boxes as SAM takes it: width is right - left; NaN where both are of no area."""
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - wide * high
    return wide * high / union if union else math.nan


def float_iou(a: F32, b: F32) -> float:
    """IoU of two boxes: left, top, right, bottom in any unit; 0 where both are of no area."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.tolist(), b.tolist()
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    return shared / union if union > 0 else 0.0


def suppressed(boxes: Sequence[Box], scores: Sequence[float], thresh: float) -> list[int]:
    """Which boxes are left, by falling score: those that overlap no better one by more than that.

    Of equal scores the earlier goes first.
    """
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if not any(box_iou(boxes[i], boxes[j]) > thresh for j in kept):  # NaN is not
            kept.append(i)
    return kept


def run_lengths(mask: Bool) -> I64:
    """Run lengths column by column, zeros first."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]]))
    return np.concatenate([[0], runs]) if flat[0] else runs


def mask_of(runs: I64, image_hw: tuple[int, int]) -> Bool:
    """The way back from `run_lengths`."""
    flat = np.zeros(image_hw[0] * image_hw[1], np.bool_)
    at = 0
    for i, length in enumerate(runs.tolist()):
        flat[at : at + length] = i % 2 == 1
        at += length
    mask: Bool = flat.reshape(image_hw[1], image_hw[0]).T
    return mask
