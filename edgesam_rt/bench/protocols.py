"""What is asked about an object, and how the answers are judged. Knows no engine.

Three protocols; figures are IoUs at the photo's own resolution:

- **box**: the tight box around the true mask.
- **point**: one point, the pixel deepest inside the object; the answer the model itself chooses.
- **clicks**: that point, then twice the deepest pixel of the larger error, the earlier answer's
  low-resolution logits given back as mask input. "Larger" is the error that reaches deeper, as in
  the click benchmarks of interactive segmentation (Sofiiuk et al. 2022, "RITM").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from edgesam_rt.records import BACKGROUND, FOREGROUND, MaskSet, Prompt
from edgesam_rt.types import F64, U8, Bool

ROUNDS = 3  # clicks of the third protocol
MEASURES = ("box", "point", "clicks", "point_best", "score_error")
CALIBRATION_BINS = 10
REFERENCE_AREA = 480 * 640  # areas are those of a photo scaled to this, so that photos compare
SIZES = {  # COCO's limits, px
    "all": (0.0, np.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}


class Answerer(Protocol):
    """Answers prompts about the photo it was made for."""

    def __call__(
        self, prompts: Sequence[Prompt], *, multimask_output: bool = False
    ) -> Sequence[MaskSet]:
        """One MaskSet per prompt: the model's choice, or all its candidates."""
        ...


class Predictor(Protocol):
    """Looks at a photo, (H, W, 3) uint8 RGB, and is then ready to answer."""

    def __call__(self, pixels: U8) -> Answerer:
        """Encode."""
        ...


@dataclass(frozen=True)
class Contestant:
    """One model to be judged.

    Attributes:
        name: in tables.
        predictor: see there.
        ambiguous_answers: which candidates answer a single point; the best of them is `point_best`.
        facts: what to write beside its figures: bundle, precision, side, backend, threads.
    """

    name: str
    predictor: Predictor
    ambiguous_answers: tuple[int, ...]
    facts: Mapping[str, object] = field(default_factory=dict)


class ObjectScore(NamedTuple):
    """Of one object: its area in a photo of REFERENCE_AREA, px, and what was reached in [0, 1].

    `claimed` is the predicted IoU of the answer to the point.
    """

    area: float
    box: float
    point: float
    clicks: float
    point_best: float
    claimed: float

    @property
    def score_error(self) -> float:
        """How far off the predicted IoU was."""
        return abs(self.claimed - self.point)


class Deepest(NamedTuple):
    """The pixel of a mask farthest from everything outside it: its centre, and how far, px."""

    x: float
    y: float
    depth: float


def iou(mask: Bool, truth: Bool) -> float:
    """Intersection over union; 0 if both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 0.0


def bounds(mask: Bool) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask that is not empty; right and bottom are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def tight_box(mask: Bool) -> Prompt:
    """The smallest box around a mask that is not empty."""
    return Prompt.box(*bounds(mask))


def deepest(mask: Bool) -> Deepest:
    """Find the deepest pixel; the photo's edge counts as outside. Depth 0 if the mask is empty."""
    import cv2

    if not mask.any():
        return Deepest(0.0, 0.0, 0.0)
    left, top, right, bottom = bounds(mask)
    cut = np.pad(mask[top:bottom, left:right].astype(np.uint8), 1)
    depth = cv2.distanceTransform(cut, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Deepest(left + int(x) + 0.5, top + int(y) + 0.5, float(depth[y, x]))


def next_click(mask: Bool, truth: Bool) -> tuple[float, float, int]:
    """Where a person would click to correct a mask: x, y, label (1 on the object, 0 not).

    A mask without error gets one more click into the object.
    """
    missed, extra = deepest(truth & ~mask), deepest(mask & ~truth)
    if missed.depth == extra.depth == 0:
        missed = deepest(truth)
    worst, label = (missed, FOREGROUND) if missed.depth >= extra.depth else (extra, BACKGROUND)
    return worst.x, worst.y, label


def judge(answer: Answerer, objects: Sequence[Bool], choices: Sequence[int]) -> list[ObjectScore]:
    """Run all protocols on one photo.

    Args:
        answer: what is judged, ready for this photo.
        objects: (H, W) true masks, none empty.
        choices: see `Contestant.ambiguous_answers`.
    """
    box = _ious(answer([tight_box(m) for m in objects]), objects)
    starts = [Prompt.point(*deepest(m)[:2]) for m in objects]
    found = list(answer(starts))
    point = _ious(found, objects)
    all_found = answer(starts, multimask_output=True)
    best = [
        max(iou(mask, truth) for mask in candidates[np.array(choices)].each_mask())
        for candidates, truth in zip(all_found, objects, strict=True)
    ]
    clicks = _ious(refine(answer, starts, found, objects), objects)
    claimed = [float(m.predicted_iou[0]) for m in found]
    size = objects[0].size if len(objects) else 1
    return [
        ObjectScore(
            area=np.count_nonzero(truth) / size * REFERENCE_AREA,
            box=box[i],
            point=point[i],
            clicks=clicks[i],
            point_best=best[i],
            claimed=claimed[i],
        )
        for i, truth in enumerate(objects)
    ]


def refine(
    answer: Answerer,
    starts: Sequence[Prompt],
    found: Sequence[MaskSet],
    objects: Sequence[Bool],
) -> Sequence[MaskSet]:
    """Correct first answers by clicks; returns the answers to the last ones."""
    prompts = list(starts)
    for _ in range(ROUNDS - 1):
        for i, (masks, truth) in enumerate(zip(found, objects, strict=True)):
            click = Prompt.point(*next_click(masks.masks[0], truth))
            prompts[i] = (prompts[i] + click).with_mask(masks.low_res_logits[0])
        found = answer(prompts)
    return found


def _ious(found: Sequence[MaskSet], objects: Sequence[Bool]) -> list[float]:
    return [iou(m.masks[0], truth) for m, truth in zip(found, objects, strict=True)]


def summary(scores: Sequence[ObjectScore]) -> dict[str, dict[str, float]]:
    """Means over the objects of each size: {"all": {"objects": n, "box": …}, "small": …}."""
    areas = np.array([s.area for s in scores])
    out: dict[str, dict[str, float]] = {}
    for name, (low, high) in SIZES.items():
        chosen = (areas >= low) & (areas < high)
        row: dict[str, float] = {"objects": int(chosen.sum())}
        if chosen.any():
            row |= {m: round(float(_column(scores, m)[chosen].mean()), 5) for m in MEASURES}
            claimed, point = (_column(scores, m)[chosen] for m in ("claimed", "point"))
            row["calibration_error"] = round(calibration_error(claimed, point), 5)
        out[name] = row
    return out


def calibration_error(claimed: F64, reached: F64) -> float:
    """How far scores are from what they promise: expected calibration error, [0, 1].

    The gap between mean claimed and mean reached IoU in ten equal bins of the claimed one, weighted
    by their counts (Guo et al. 2017, "On calibration of modern neural networks", for IoUs).
    """
    bins = np.minimum((claimed * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        abs(float((claimed - reached)[bins == b].mean())) * np.count_nonzero(bins == b)
        for b in np.unique(bins)
    ]
    return float(sum(gaps)) / len(claimed)


def difference(
    scores: Sequence[ObjectScore], reference: Sequence[ObjectScore]
) -> dict[str, dict[str, float]]:
    """Mean IoU minus the reference's over the same objects, in points, with its standard error."""
    out = {}
    for measure in ("box", "point", "clicks"):
        points = 100 * (_column(scores, measure) - _column(reference, measure))
        error = float(points.std(ddof=1)) / len(points) ** 0.5 if len(points) > 1 else 0.0
        out[measure] = {"points": round(float(points.mean()), 3), "standard_error": round(error, 3)}
    return out


def _column(scores: Sequence[ObjectScore], measure: str) -> F64:
    return np.array([getattr(s, measure) for s in scores], np.float64)
