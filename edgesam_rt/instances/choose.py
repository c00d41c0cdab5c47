"""Which of the instances in a picture a prompt means.

After the point and box prompts of FastSAM (Zhao et al. 2023, "Fast Segment Anything", section 3.3):
background points rule instances out, a box takes the one whose box is most like it, and points take
those that contain them, joined to one mask.
"""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.instances.find import Found
from edgesam_rt.records import BACKGROUND, BOX_TOP_LEFT, FOREGROUND, Prompt
from edgesam_rt.types import F64, I64, AnyArray, Bool


def choose(prompt: Prompt, found: Found, hits: Bool, singles: int) -> list[I64]:
    """The answers to one prompt, as rows of `found`; any of them may be empty.

    Args:
        prompt: as it applies to the picture.
        found: K instances.
        hits: (K, P) which contain which of its points; box corners' columns mean nothing.
        singles: how many answers of one instance are wanted.

    Returns:
        First the best answer: the instance that contains the most of its points, and, joined to it,
        others for points that are left; then `singles` single instances, the best first.
    """
    covered = hits[:, prompt.point_labels == FOREGROUND]
    excluded = hits[:, prompt.point_labels == BACKGROUND].any(1)
    worth = _worth(prompt, found)
    fits = covered.any(1) if covered.shape[1] else worth > 0
    rows = np.flatnonzero(fits & ~excluded)
    rows = rows[np.lexsort((-worth[rows], -covered[rows].sum(1)))]
    best = _covering(rows, covered[rows]) if covered.shape[1] else rows[:1]
    return [best, *(rows[i : i + 1] for i in range(singles))]


def _worth(prompt: Prompt, found: Found) -> F64:
    """(K,) what instances are ranked by: likeness to the box if there is one, else confidence."""
    if not prompt.has_box:
        return found.scores.astype(np.float64)
    corners: AnyArray = prompt.point_coords[prompt.point_labels >= BOX_TOP_LEFT]
    return box_iou(found.boxes_xyxy, corners.reshape(1, 4))[:, 0]


def _covering(rows: I64, covered: Bool) -> I64:
    """Instances that together contain all points that any contains: the most at a time.

    Args:
        rows: (R,) by rank.
        covered: (R, P) the points that each contains.
    """
    picked: list[int] = []
    left = covered.any(0)
    while left.any():
        most = int((covered & left).sum(1).argmax())  # the first of those that contain as many
        picked.append(int(rows[most]))
        left &= ~covered[most]
    return np.array(picked, np.int64)
