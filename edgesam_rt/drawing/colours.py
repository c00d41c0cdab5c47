"""Which colour each object of a result gets."""

from __future__ import annotations

import functools

import numpy as np

from edgesam_rt.drawing.palette import Rgb, colour
from edgesam_rt.records import MaskSet, Result
from edgesam_rt.types import F32, Bool

FEW = 12  # objects: so many or fewer always have the colours of their ids
_CHOICES = 24
_NEAR_SHARE = 0.02  # of the longer side of the picture: boxes so near are neighbours


def of(result: Result) -> list[Rgb]:
    """One colour per object.

    What was asked for by a prompt, or is followed, keeps the colour of its id in every frame. The
    many masks of everything mode, whose ids are ranks, get colours that differ most from those of
    the masks that they touch or lie on.
    """
    ids = result.object_ids
    if result.prompts or result.tracks or len(ids) <= FEW:
        return [colour(object_id) for object_id in ids]
    return _apart(result.masks)


def _apart(masks: MaskSet) -> list[Rgb]:
    """Choose colour by colour, the largest mask first."""
    choices = [colour(i + 1) for i in range(_CHOICES)]
    far = _distances()
    near = _neighbours(masks)
    chosen = np.full(len(masks), -1)
    used = np.zeros(_CHOICES)
    for i in np.argsort(-masks.areas, kind="stable").tolist():
        others = chosen[near[i]]
        others = others[others >= 0]
        nearest = far[:, others].min(1) if len(others) else np.full(_CHOICES, far.max())
        # Beyond a good distance it is better to use all colours alike.
        worth = np.minimum(nearest, 60.0) - 2.0 * used / max(used.mean(), 1.0)
        chosen[i] = int(np.argmax(worth))
        used[chosen[i]] += 1
    return [choices[i] for i in chosen]


def _neighbours(masks: MaskSet) -> Bool:
    """(K, K) whether two boxes overlap or nearly do."""
    gap = _NEAR_SHARE * max(masks.image_hw)
    left, top, right, bottom = masks.boxes_xyxy.T
    wide = (left[:, None] < right + gap) & (left < right[:, None] + gap)
    high = (top[:, None] < bottom + gap) & (top < bottom[:, None] + gap)
    return np.asarray(wide & high, np.bool_)


@functools.lru_cache(maxsize=1)
def _distances() -> F32:
    """(n, n) how different the choices look: distances in CIE L*a*b*."""
    import cv2

    rgb = np.array([[colour(i + 1) for i in range(_CHOICES)]], np.float32) / 255
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)[0]
    return np.asarray(np.linalg.norm(lab[:, None] - lab, axis=2), np.float32)
