"""A contact sheet: every mask of a result cut out, with its id, predicted IoU and area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesam_rt.drawing import colours
from edgesam_rt.drawing.palette import DARK, WHITE, Rgb, ink_on
from edgesam_rt.drawing.pens import Pens, ascii_only
from edgesam_rt.drawing.shapes import Box, Shape, shape_of
from edgesam_rt.records import Result
from edgesam_rt.types import U8

_GREY: Rgb = (168, 168, 172)
_CARD: Rgb = (34, 34, 38)
_MARGIN = 0.12  # of an object's longer side: what is seen around it
_LEAST_MARGIN = 6  # px of the picture
_AROUND = 0.22  # brightness of what is not the object
_MOST_GROWN = 6.0  # times: small objects are not shown larger
_GAP = 6  # px between cards
_ASPECT = 1.5  # width of a sheet to its height, about
_SIDES = ((48, 168), (200, 128))  # most objects, side of a thumbnail, px
_SMALLEST = 96


@dataclass(frozen=True)
class _Layout:
    """Where things are on a sheet, px.

    Attributes:
        side: of a thumbnail.
        columns, rows: of cards.
        pens: sizes of letters.
    """

    side: int
    columns: int
    rows: int
    pens: Pens

    @classmethod
    def of(cls, count: int) -> _Layout:
        side = next((side for most, side in _SIDES if count <= most), _SMALLEST)
        pens = Pens.for_side(640 if side > _SMALLEST else 512).fine()
        card_h = side + 2 * pens.text_h + _GAP
        columns = max(1, round((_ASPECT * count * card_h / (side + _GAP)) ** 0.5))
        columns = max(min(columns, max(count, 1)), -(-3 * 168 // side) if count > 3 else 3)
        return cls(side, columns, -(-count // columns), pens)

    @property
    def head_h(self) -> int:
        return round(1.6 * self.pens.text_h)

    @property
    def card_h(self) -> int:
        return self.side + 2 * self.pens.text_h

    @property
    def sheet_hw(self) -> tuple[int, int]:
        h = self.head_h + self.rows * (self.card_h + _GAP) + _GAP
        return h, self.columns * (self.side + _GAP) + _GAP

    def card(self, place: int) -> tuple[int, int]:
        """Left and top of a card."""
        row, column = divmod(place, self.columns)
        x = _GAP + column * (self.side + _GAP)
        return x, self.head_h + _GAP + row * (self.card_h + _GAP)


def draw(result: Result) -> U8:
    """Draw every object on a card of its own, in the order of the result: by rank.

    A card shows the object in full light with a little of what is around it, its id in the colour
    that the overlay gives it, its predicted IoU and its area in pixels.

    Args:
        result: what to show; it is not changed.

    Returns:
        (H, W, 3) uint8 RGB; the size follows from the number of objects.
    """
    layout = _Layout.of(len(result.object_ids))
    canvas = np.empty((*layout.sheet_hw, 3), np.uint8)
    canvas[:] = DARK
    _draw_head(canvas, result, layout)
    for i, ink in enumerate(colours.of(result)):
        _draw_card(canvas, result, i, ink, layout)
    return canvas


def _draw_head(canvas: U8, result: Result, layout: _Layout) -> None:
    """Write what the sheet is about, as far as there is room."""
    (h, w), count = result.frame.image_hw, len(result.object_ids)
    masks = {0: "no masks", 1: "1 mask"}.get(count, f"{count} masks")
    pieces = [masks, ascii_only(result.frame.name), f"{w}x{h}"]
    x, y = _GAP, (layout.head_h - layout.pens.text_h) // 2 + _GAP // 2
    for ink, text in zip((WHITE, _GREY, _GREY), pieces, strict=True):
        if x + layout.pens.text_width(text) > canvas.shape[1] - _GAP:
            return
        layout.pens.write(canvas, text, (x, y), ink)
        x += layout.pens.text_width(text) + layout.pens.text_h


def _draw_card(canvas: U8, result: Result, index: int, ink: Rgb, layout: _Layout) -> None:
    """Draw one object and what is known about it."""
    x, y = layout.card(index)
    side = layout.side
    canvas[y : y + layout.card_h, x : x + side] = _CARD
    shape = shape_of(result.masks, index, ink)
    if shape is not None:
        thumb = _thumbnail(result, shape, side)
        h, w = thumb.shape[:2]
        left, top = x + (side - w) // 2, y + (side - h) // 2
        canvas[top : top + h, left : left + w] = thumb
    _write_facts(canvas, result, index, ink, layout, (x, y + side))


def _write_facts(
    canvas: U8, result: Result, index: int, ink: Rgb, layout: _Layout, at: tuple[int, int]
) -> None:
    """Write id and predicted IoU on one line, the area on the next."""
    (x, y), pens = at, layout.pens
    name, score = str(result.object_ids[index]), f"{result.masks.predicted_iou[index]:.2f}"
    tag_w = pens.text_width(name) + pens.text_h // 2
    canvas[y : y + pens.text_h, x : x + tag_w] = ink
    pens.write(canvas, name, (x + pens.text_h // 4, y), ink_on(ink))
    right = x + layout.side - pens.text_h // 4
    pens.write(canvas, score, (right - pens.text_width(score), y), WHITE)
    area = f"{int(result.masks.areas[index]):,} px"
    pens.write(canvas, area, (right - pens.text_width(area), y + pens.text_h), _GREY)


def _thumbnail(result: Result, shape: Shape, side: int) -> U8:
    """(h, w, 3) an object in full light on a dim ground; the longer side is at most `side`."""
    import cv2

    left, top, right, bottom = view = _view(shape.place.box, result.frame.image_hw)
    part = result.frame.pixels[top:bottom, left:right]
    mask = _in_view(shape, view)
    scale = min(side / max(part.shape[:2]), _MOST_GROWN)
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    light = cv2.resize(part, size, interpolation=how)
    share = cv2.resize(mask * np.uint8(255), size, interpolation=how)
    dim = cv2.convertScaleAbs(light, alpha=_AROUND)
    weight = (share.astype(np.float32) / 255)[..., None]
    mixed = np.asarray(light * weight + dim * (1 - weight), np.uint8)
    edges = (share > 127).view(np.uint8)
    lines, _ = cv2.findContours(edges, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mixed, lines, -1, shape.place.ink, 1, cv2.LINE_AA)
    return mixed


def _view(box: Box, image_hw: tuple[int, int]) -> Box:
    """What is shown of the picture: the box and a little more, nearly square if there is room."""
    h, w = image_hw
    left, top, right, bottom = box
    reach = round(max(right - left, bottom - top) * (0.5 + _MARGIN)) + _LEAST_MARGIN
    x, y = (left + right) // 2, (top + bottom) // 2
    return max(0, x - reach), max(0, y - reach), min(w, x + reach), min(h, y + reach)


def _in_view(shape: Shape, view: Box) -> U8:
    """(h, w) of 0 and 1: the object's mask in what is shown."""
    left, top, right, bottom = view
    mask = np.zeros((bottom - top, right - left), np.uint8)
    x, y = shape.place.box[0] - left, shape.place.box[1] - top
    h, w = shape.mask.shape
    mask[y : y + h, x : x + w] = shape.mask
    return mask
