"""FastSAM's postprocessing, plainly: what `edgesam_rt.instances` must equal.

Written from the description of its steps (docs/decisions/0024-fastsam.md), one instance and one
pixel at a time; `ours` marks what differs from the authors' program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgesam_rt.types import F64, AnyArray, Bool

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placed:
    """How a picture lies in the network's square, all px; ours: at the top left, not the middle."""

    image_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    side: int


@dataclass(frozen=True)
class Thresholds:
    """The authors' values."""

    score: float = 0.4
    nms: float = 0.9
    most: int = 300
    border: float = 20.0
    whole: float = 0.9


@dataclass(frozen=True, eq=False)
class Instance:
    """One instance: where it is, how sure the network is, and its pixels."""

    box: Box
    score: float
    mask: Bool


def instances(
    tensors: Mapping[str, AnyArray], at: Placed, thresholds: Thresholds
) -> list[Instance]:
    """All instances of a picture, by falling score."""
    scores = tensors["scores"][0].tolist()
    sure = [i for i, score in enumerate(scores) if score >= thresholds.score]
    sure.sort(key=lambda i: -scores[i])
    kept: list[tuple[Box, int]] = []
    for i in sure:
        box = in_picture(tensors["boxes_xyxy"][0, i].tolist(), at)
        empty = box[2] <= box[0] or box[3] <= box[1]
        if not empty and all(iou(box, other) <= thresholds.nms for other, _ in kept):
            kept.append((box, i))
    out = []
    for box, i in kept[: thresholds.most]:
        wide = widened(box, at, thresholds)
        coefficients = tensors["coefficients"][0, :, i]
        out.append(Instance(wide, scores[i], mask_of(tensors, coefficients, wide, at)))
    return out


def in_picture(box: Sequence[float], at: Placed) -> Box:
    """A box in px of the square as one of the picture, cut to it (ours: before suppression)."""
    (h, w), (sh, sw) = at.image_hw, at.scaled_hw
    x0, y0, x1, y1 = (
        min(max(v * ratio, 0.0), float(end))
        for v, ratio, end in zip(box, (w / sw, h / sh) * 2, (w, h) * 2, strict=True)
    )
    return x0, y0, x1, y1


def widened(box: Box, at: Placed, thresholds: Thresholds) -> Box:
    """Sides near the edge go to it; what is nearly the picture becomes it."""
    (h, w), (sh, sw) = at.image_hw, at.scaled_hw
    near_x, near_y = thresholds.border * w / sw, thresholds.border * h / sh
    x0 = 0.0 if box[0] < near_x else box[0]
    y0 = 0.0 if box[1] < near_y else box[1]
    x1 = float(w) if box[2] > w - near_x else box[2]
    y1 = float(h) if box[3] > h - near_y else box[3]
    whole = (0.0, 0.0, float(w), float(h))
    return whole if iou((x0, y0, x1, y1), whole) > thresholds.whole else (x0, y0, x1, y1)


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return wide * high / (sum(areas) - wide * high)


def mask_of(tensors: Mapping[str, AnyArray], coefficients: AnyArray, box: Box, at: Placed) -> Bool:
    """(H, W): weighted prototypes summed, as large as the picture, cut at 0 and by the box."""
    prototypes = tensors["prototypes"][0].astype(np.float64)
    logits = sum(c * p for c, p in zip(coefficients.tolist(), prototypes, strict=True))
    per_px = max(prototypes.shape[1:]) / at.side
    (h, w), (sh, sw) = at.image_hw, at.scaled_hw
    large = stretch(stretch(np.asarray(logits), sh * per_px, h).T, sw * per_px, w).T
    y, x = np.mgrid[:h, :w] + 0.5
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return np.asarray((large > 0) & inside)


def stretch(rows: F64, covered: float, length: int) -> F64:
    """The first `covered` rows at another length; linear between their centres."""
    rows = rows[: int(np.ceil(covered))]
    out = np.empty((length, rows.shape[1]))
    for i in range(length):
        at = min(max((i + 0.5) * covered / length - 0.5, 0.0), len(rows) - 1.0)
        low = int(at)
        high = min(low + 1, len(rows) - 1)
        out[i] = rows[low] + (rows[high] - rows[low]) * (at - low)
    return out


def by_points(found: Sequence[Instance], points: Sequence[tuple[float, float, int]]) -> Bool:
    """The mask that points mean: instances on a background point are out; of the rest those that
    contain a foreground point, as few as contain all (ours: the authors join all of them)."""
    every = [p for p in points if p[2] == 1]
    allowed = [i for i in found if not any(_on(i, p) for p in points if p[2] == 0)]
    mask: Bool = np.zeros(found[0].mask.shape, np.bool_)
    left = every
    while left and allowed:
        ranks = [(_count(i, left), _count(i, every), i.score) for i in allowed]
        best = allowed[ranks.index(max(ranks))]
        if not _count(best, left):
            break
        mask = mask | best.mask
        left = [p for p in left if not _on(best, p)]
    return mask


def _count(one: Instance, points: Sequence[tuple[float, float, int]]) -> int:
    return sum(_on(one, p) for p in points)


def by_box(found: Sequence[Instance], box: Box) -> Bool:
    """The mask of the instance whose box is most like a box."""
    best = max(found, key=lambda i: iou(i.box, box))
    return best.mask if iou(best.box, box) > 0 else np.zeros_like(best.mask)


def _on(one: Instance, point: tuple[float, float, int]) -> bool:
    h, w = one.mask.shape
    return bool(one.mask[min(int(point[1]), h - 1), min(int(point[0]), w - 1)])
