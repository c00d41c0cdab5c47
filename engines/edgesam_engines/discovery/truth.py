"""What is an object in a photo, what is background, and how sure both are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgesam_engines.discovery.config import TruthRules
from edgesam_engines.discovery.features import Stored
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.types import F32


class Truth(NamedTuple):
    """Of one photo, in encoder sides.

    Attributes:
        boxes: (T, 4) objects.
        weights: (T,) in [0, 1], how sure each is one.
        perhaps: (P, 4) boxes whose cells are neither object nor background.
        background: weight of a cell in none of all these.
    """

    boxes: F32
    weights: F32
    perhaps: F32
    background: float


def truth_of(photo: Stored, rules: TruthRules) -> Truth:
    """Labelled objects, and boxes of the detector where nothing was labelled."""
    new = np.ones(len(photo.found), np.bool_)
    if len(photo.labelled) and len(photo.found):
        new = box_iou(photo.found, photo.labelled).max(1) < rules.same_iou
    sure = new & (photo.score >= rules.sure_score)
    perhaps = new & ~sure & (photo.score >= rules.perhaps_score)
    is_full = photo.source in rules.full or not photo.has_labels
    count = len(photo.labelled)
    return Truth(
        np.concatenate([photo.labelled, photo.found[sure]]).astype(np.float32),
        np.concatenate([np.ones(count), photo.score[sure]]).astype(np.float32),
        photo.found[perhaps],
        rules.beside_full if is_full else rules.beside,
    )
