"""Masks as shapes to draw: the part inside the box, and the outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesam_rt.drawing.palette import Rgb
from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet
from edgesam_rt.types import U8

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Place:
    """What is remembered of an object that was drawn; its mask is not, for that may be large.

    Attributes:
        index: in the result.
        box: left, top, right, bottom, px, right and bottom exclusive.
        ink: its colour.
    """

    index: int
    box: Box
    ink: Rgb


@dataclass(frozen=True, eq=False)
class Shape:
    """One object, ready to be drawn.

    Attributes:
        place: see there.
        mask: (h, w) of 0 and 1, the part inside the box.
    """

    place: Place
    mask: U8

    def lines(self, min_area: float = 0.0) -> list[Any]:
        """Its outlines, holes included, in OpenCV's form; without those around less, px."""
        import cv2

        how = cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
        found: Sequence[Any]
        found, _ = cv2.findContours(self.mask, *how, offset=self.place.box[:2])
        if min_area <= 0 or len(found) < 2:
            return list(found)
        areas = [cv2.contourArea(line) for line in found]
        least = min(min_area, max(areas))  # the largest stays
        return [line for line, area in zip(found, areas, strict=True) if area >= least]


def shape_of(masks: MaskSet, index: int, ink: Rgb) -> Shape | None:
    """One of the masks as a shape, or None if it is empty."""
    if not masks.areas[index]:
        return None
    box = box_of(masks, index)
    return Shape(Place(index, box, ink), cut_out(masks, index, box))


def box_of(masks: MaskSet, index: int) -> Box:
    """Left, top, right, bottom of a mask, px."""
    left, top, right, bottom = masks.boxes_xyxy[index].astype(int).tolist()
    return left, top, right, bottom


def cut_out(masks: MaskSet, index: int, box: Box) -> U8:
    """Decode the part of a mask inside its box, (h, w) of 0 and 1; the rest costs nothing."""
    h, w = masks.image_hw
    left, top, right, bottom = box
    runs = masks.runs[index].copy()
    runs[0] -= left * h
    if len(runs) % 2:  # zeros after the last pixel of the mask
        runs[-1] -= (w - right) * h
    mask = rle.from_runs(runs, (h, right - left))[top:bottom]
    return np.ascontiguousarray(mask).view(np.uint8)
