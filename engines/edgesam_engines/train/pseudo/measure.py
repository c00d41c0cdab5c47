"""What the scores are worth: proposals compared with true masks of photos kept for validation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edgesam_engines.train.pseudo.config import Keep
from edgesam_engines.train.pseudo.keep import is_good
from edgesam_engines.train.pseudo.label import Labeller
from edgesam_engines.train.pseudo.refine import refine
from edgesam_engines.train.pseudo.teacher import Proposal, Scores
from edgesam_engines.train.pseudo.write import photo_key
from edgesam_engines.train.sources import Entry, ObjectRow, StoredIds, decode
from edgesam_engines.train.validate import iou
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.types import F64

MATCH = 0.5  # IoU of a detector's box with a true object's from which it counts as that object's
_SMALLEST = 30  # pixels; smaller true objects are passed over
_STEPS = (0.0, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.925, 0.95)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One proposal."""

    photo: str
    name: str  # class that the detector saw
    scores: Scores
    area: float  # of the photo
    box_reached: float  # largest IoU of the detector's box with a true object's box
    reached: float  # largest IoU of the mask with a true object


@dataclass(frozen=True)
class Found:
    """One true object."""

    photo: str
    area: float  # of the photo
    box_reached: float  # largest IoU of its box with a detector's


def measure_photo(labeller: Labeller, entry: Entry) -> tuple[list[Row], list[Found]]:
    """All proposals and all true objects of one photo."""
    photo, name = decode(entry), f"{entry.source}/{photo_key(entry)}"
    true = [o for o in photo.objects if o.area >= _SMALLEST]
    proposals = labeller.propose(photo.image, name)
    proposals = [refine(photo.image, p) for p in proposals]
    boxes = _overlaps(proposals, true)
    rows = [
        Row(
            name,
            one.found.name,
            one.scores,
            float(one.mask.mean()),
            float(boxes[i].max(initial=0)),
            best_overlap(one, true, photo.ids),
        )
        for i, one in enumerate(proposals)
    ]
    size = photo.ids.size
    return rows, [
        Found(name, o.area / size, float(boxes[:, j].max(initial=0))) for j, o in enumerate(true)
    ]


def _overlaps(proposals: list[Proposal], true: list[ObjectRow]) -> F64:
    """(N, K) IoUs of the detector's boxes with the true ones."""
    mine = np.array([p.found.box_xyxy for p in proposals], np.float64).reshape(-1, 4)
    theirs = np.array([o.box for o in true], np.float64).reshape(-1, 4)
    return box_iou(mine, theirs)


def best_overlap(one: Proposal, true: list[ObjectRow], ids: StoredIds) -> float:
    """Largest IoU of a mask with a true object; 0 where there is none."""
    return max((iou(one.mask, ids == o.id) for o in true), default=0.0)


def measure(labeller: Labeller, entries: Sequence[Entry]) -> tuple[list[Row], list[Found]]:
    """All photos."""
    rows: list[Row] = []
    found: list[Found] = []
    for i, entry in enumerate(entries, 1):
        more_rows, more_found = measure_photo(labeller, entry)
        rows += more_rows
        found += more_found
        if i % 25 == 0 or i == len(entries):
            log.info("%d of %d photos, %d boxes", i, len(entries), len(rows))
    return rows, found


def quality(rows: Sequence[Row], kept: Sequence[Row]) -> dict[str, float]:
    """Yield and precision of what is kept of the rows."""
    reached = np.array([r.reached for r in kept] or [0.0])
    return {
        "kept": len(kept),
        "yield": round(len(kept) / max(1, len(rows)), 3),
        "mean_iou": round(float(reached.mean()), 3),
        "iou_over_0.8": round(float((reached > 0.8).mean()), 3),
        "iou_under_0.5": round(float((reached < 0.5).mean()), 3),
    }


def report(rows: list[Row], found: list[Found], keep: Keep) -> dict[str, object]:
    """Figures of the detector, of the rules, and of limits on trust alone.

    Sources that are not exhaustive say nothing about boxes of things without a label; so all but
    `detector` counts proposals whose box is that of a true object.
    """
    matched = [r for r in rows if r.box_reached >= MATCH]
    table = {
        f"{limit:.3f}": quality(matched, [r for r in matched if r.scores.trust >= limit])
        for limit in _STEPS
    }
    return {
        "detector": {
            "boxes": len(rows),
            "boxes_of_true_objects": _share(r.box_reached >= MATCH for r in rows),
            "true_objects": len(found),
            "true_objects_found": _share(f.box_reached >= MATCH for f in found),
            "true_objects_found_over_1_percent": _share(
                f.box_reached >= MATCH for f in found if f.area >= 0.01
            ),
            "mean_box_iou_of_matched": round(
                float(np.mean([r.box_reached for r in matched] or [0.0])), 3
            ),
        },
        "rules": quality(matched, [r for r in matched if _passes(r, keep)]),
        "rules_unmatched_too": quality(rows, [r for r in rows if _passes(r, keep)]),
        "by_trust": table,
        "rows": [{**asdict(r), "scores": r.scores._asdict()} for r in rows],
    }


def _passes(row: Row, keep: Keep) -> bool:
    return is_good(row.scores, keep) and row.area >= keep.min_area


def _share(answers: Iterable[bool]) -> float:
    every = list(answers)
    return round(sum(every) / max(1, len(every)), 3)
