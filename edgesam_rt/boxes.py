"""Boxes of objects, as a detector finds them."""

from __future__ import annotations

from typing import NamedTuple

from edgesam_rt.types import F32


class Boxes(NamedTuple):
    """K boxes of one picture, best first.

    Attributes:
        xyxy: (K, 4) float32 left, top, right, bottom, px of the picture and within it; right and
            bottom are exclusive.
        score: (K,) float32 in [0, 1].
    """

    xyxy: F32
    score: F32
