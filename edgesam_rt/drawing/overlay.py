"""A result as a picture that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesam_rt.drawing import marks, strip
from edgesam_rt.drawing.palette import DARK, colour
from edgesam_rt.drawing.pens import Pens
from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet, Result
from edgesam_rt.types import I64, U8

_COLOUR_SHARE = 0.45  # of the fill; the rest is the picture
_FEW = 12  # objects: so many or fewer get their scores in the tags, and smooth outlines
_OWNER_CELLS = 160  # where objects can be seen is kept on a grid of about this many cells a side


@dataclass(frozen=True, eq=False)
class _Shape:
    """One object, ready to be outlined.

    Attributes:
        index: in the result.
        lines: its outlines, in OpenCV's form.
        box: left, top, right, bottom, px.
    """

    index: int
    lines: Sequence[Any]
    box: tuple[int, int, int, int]


def draw(result: Result, *, fps: float | None = None) -> U8:
    """Draw masks, prompts and times on the picture of a result.

    Objects are drawn from the largest to the smallest, so that the small ones stay visible. The
    timing strip is added below the picture, which it does not hide; pictures narrower than
    `strip.MIN_WIDTH` get none.

    Args:
        result: what to show; it is not changed.
        fps: results per second, shown in the strip, or None.

    Returns:
        (H + strip, W, 3) uint8 RGB.
    """
    h, w = result.frame.image_hw
    canvas = np.empty((h + strip.height(result), w, 3), np.uint8)
    picture = canvas[:h]
    picture[:] = result.frame.pixels
    pens = Pens.for_side(max(h, w))
    owners = _Owners((h, w))
    shapes = list(_fill(picture, result, owners))
    _outline(picture, shapes, result, pens)
    ground = marks.Ground((h, w), pens)
    for object_id, prompt in zip(result.object_ids, result.prompts, strict=False):
        marks.draw_prompt(picture, prompt, object_id, pens, ground)
    marks.draw_tags(picture, [_tag(shape, result, owners) for shape in shapes], pens, ground)
    if len(canvas) > h:
        strip.draw(canvas[h:], result, fps)
    return canvas


class _Owners:
    """Which object is on top, on a coarse grid."""

    def __init__(self, image_hw: tuple[int, int]) -> None:
        """No object anywhere."""
        self._step = max(1, max(image_hw) // _OWNER_CELLS)
        self._top = np.full([-(-side // self._step) for side in image_hw], -1, np.int32)

    def put(self, index: int, mask: U8, left: int, top: int) -> None:
        """Lay an object on top of those before; `mask` is what lies in its box."""
        step = self._step
        cells = mask[-top % step :: step, -left % step :: step]
        row, column = -(-top // step), -(-left // step)
        part = self._top[row : row + cells.shape[0], column : column + cells.shape[1]]
        part[cells > 0] = index

    def heart(self, shape: _Shape) -> tuple[int, int]:
        """Return x, y of a pixel about as deep as can be in the part of an object that is seen."""
        import cv2

        left, top, right, bottom = shape.box
        column, row = left // self._step, top // self._step
        part = self._top[row : bottom // self._step + 1, column : right // self._step + 1]
        seen = (part == shape.index).view(np.uint8)
        if not seen.any():
            return (left + right) // 2, (top + bottom) // 2
        framed = cv2.copyMakeBorder(seen, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        return (column + int(x) - 1) * self._step, (row + int(y) - 1) * self._step


def _fill(picture: U8, result: Result, owners: _Owners) -> Iterator[_Shape]:
    """Tint every object, the largest first; where objects overlap, the smaller one's tint shows."""
    import cv2

    pixels, masks = result.frame.pixels, result.masks
    for i in np.argsort(-masks.areas, kind="stable").tolist():
        if not masks.areas[i]:
            continue
        left, top, right, bottom = box = _box(masks, i)
        mask = _cut_out(masks.runs[i], box, masks.image_hw)
        owners.put(i, mask, left, top)
        part = np.s_[top:bottom, left:right]
        tint = np.array([*colour(result.object_ids[i]), 0]) * _COLOUR_SHARE
        faint = cv2.convertScaleAbs(pixels[part], alpha=1 - _COLOUR_SHARE)
        cv2.copyTo(cv2.add(faint, tint), mask, picture[part])
        how = cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
        yield _Shape(i, cv2.findContours(mask, *how, offset=(left, top))[0], box)


def _box(masks: MaskSet, index: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = masks.boxes_xyxy[index].astype(int).tolist()
    return left, top, right, bottom


def _cut_out(runs: I64, box: tuple[int, int, int, int], image_hw: tuple[int, int]) -> U8:
    """Decode the part of a mask inside its box, (h, w) of 0 and 1; the rest costs nothing."""
    h, w = image_hw
    left, top, right, bottom = box
    runs = runs.copy()
    runs[0] -= left * h
    if len(runs) % 2:  # zeros after the last pixel of the mask
        runs[-1] -= (w - right) * h
    mask = rle.from_runs(runs, (h, right - left))[top:bottom]
    return np.ascontiguousarray(mask).view(np.uint8)


def _outline(picture: U8, shapes: Sequence[_Shape], result: Result, pens: Pens) -> None:
    """Draw outlines with a dark rim, which sets them off from any ground."""
    import cv2

    how = cv2.LINE_AA if len(shapes) <= _FEW else cv2.LINE_8  # smooth ones cost five times as much
    for shape in shapes:
        cv2.drawContours(picture, shape.lines, -1, DARK, pens.line + 2 * pens.rim)
        ink = colour(result.object_ids[shape.index])
        cv2.drawContours(picture, shape.lines, -1, ink, pens.line, how)


def _tag(shape: _Shape, result: Result, owners: _Owners) -> marks.Tag:
    masks, i = result.masks, shape.index
    object_id = result.object_ids[i]
    score = f"  {masks.predicted_iou[i]:.2f}" if len(masks) <= _FEW else ""
    heart = owners.heart(shape)
    return marks.Tag(object_id, f"{object_id}{score}", heart, shape.box, int(masks.areas[i]))
