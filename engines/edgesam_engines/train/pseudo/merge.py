"""The masks of a photo in one id map: doubles dropped, what overlaps put in order."""

from __future__ import annotations

import numpy as np

from edgesam_engines.train.pseudo.config import Merge
from edgesam_engines.train.pseudo.teacher import Proposal
from edgesam_engines.train.sources import StoredIds
from edgesam_engines.train.validate import Mask, iou


def without_doubles(proposals: list[Proposal], labelled: StoredIds, rules: Merge) -> list[Proposal]:
    """Drop masks of objects that a better proposal, or an old label, shows already.

    Args:
        proposals: of one photo; none is empty.
        labelled: (h, w) ids of the objects that had labels before, 0 elsewhere.
        rules: from which IoU on two masks are of one object.

    Returns:
        By falling trust.
    """
    old = [labelled == value for value in np.unique(labelled) if value]
    kept: list[Proposal] = []
    for one in sorted(proposals, key=lambda p: -p.scores.trust):
        others = old + [p.mask for p in kept]
        if all(iou(one.mask, other) <= rules.same for other in others):
            kept.append(one)
    return kept


def paint_order(masks: list[Mask], inside: float) -> list[int]:
    """Indices from the bottom to the top.

    A mask comes after every larger one that holds more than the part `inside` of it; else the
    masks given first lie higher. As holders are larger, there is always such an order.
    """
    areas = [int(m.sum()) for m in masks]
    holders = [
        {
            j
            for j, big in enumerate(masks)
            if (areas[j], -j) > (areas[i], -i) and (m & big).sum() > inside * areas[i]
        }
        for i, m in enumerate(masks)
    ]
    left, order = list(range(len(masks)))[::-1], []
    while left:
        ready = next(i for i in left if not holders[i] & set(left))
        left.remove(ready)
        order.append(ready)
    return order


def paint(labelled: StoredIds, masks: list[Mask], inside: float) -> StoredIds:
    """The id map with the masks below the old labels; mask i gets `largest old id + 1 + i`."""
    out: StoredIds = labelled.copy()
    free = labelled == 0
    first = int(labelled.max(initial=0)) + 1
    for i in paint_order(masks, inside):
        out[masks[i] & free] = first + i
    return out


def merge(
    labelled: StoredIds, proposals: list[Proposal], rules: Merge
) -> tuple[StoredIds, list[Proposal]]:
    """Add proposals to the labels of a photo.

    Args:
        labelled: (h, w), 0 = unlabelled; its objects keep all their pixels.
        proposals: none is empty; masks of (h, w).
        rules: what is a double, what lies on top, how much must stay visible.

    Returns:
        The id map, and the proposals in it: number i has the id `largest old id + 1 + i`.
    """
    kept = without_doubles(proposals, labelled, rules)
    while kept:
        first = int(labelled.max(initial=0)) + 1
        made = paint(labelled, [p.mask for p in kept], rules.inside)
        seen = np.bincount(made.ravel(), minlength=first + len(kept))[first:]
        shares = [n / p.mask.sum() for n, p in zip(seen, kept, strict=True)]
        worst = int(np.argmin(shares))
        if shares[worst] >= rules.visible:
            return made, kept
        del kept[worst]  # one at a time: others may be whole without it
    return labelled.copy(), []
