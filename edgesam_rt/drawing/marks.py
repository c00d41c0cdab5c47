"""What is drawn on top of the masks: the prompts, and the names of the objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgesam_rt.drawing.palette import DARK, WHITE, Rgb, colour, ink_on
from edgesam_rt.drawing.pens import Pens
from edgesam_rt.records import BOX_TOP_LEFT, FOREGROUND, Prompt
from edgesam_rt.types import U8, Bool

_MOST_TAGGED = 0.12  # of the picture: tags cover no more, where objects are many


@dataclass(frozen=True)
class Tag:
    """The name of one object.

    Attributes:
        object_id: whose name it is.
        text: ASCII.
        heart: x, y of the pixel deepest inside what is seen of the object.
        box: left, top, right, bottom of the object, px.
        area: of what is seen of the object, px.
        ink: its colour.
    """

    object_id: int
    text: str
    heart: tuple[int, int]
    box: tuple[int, int, int, int]
    area: int
    ink: Rgb


class Ground:
    """Which parts of a picture are taken, so that tags do not cover each other."""

    def __init__(self, image_hw: tuple[int, int], pens: Pens) -> None:
        """All is free."""
        h, w = image_hw
        self._cell = max(4, pens.text_h // 4)
        self._taken: Bool = np.zeros((h // self._cell + 1, w // self._cell + 1), np.bool_)

    def _part(self, left: int, top: int, right: int, bottom: int) -> Bool:
        c = self._cell
        rows, columns = slice(max(top, 0) // c, bottom // c + 1), slice(max(left, 0) // c, None)
        return self._taken[rows, columns][:, : right // c + 1 - max(left, 0) // c]

    def take(self, left: int, top: int, right: int, bottom: int) -> None:
        """Mark a rectangle as taken."""
        self._part(left, top, right, bottom)[:] = True

    def is_free(self, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether nothing of a rectangle is taken."""
        return not self._part(left, top, right, bottom).any()


def draw_prompt(canvas: U8, prompt: Prompt, object_id: int, pens: Pens, ground: Ground) -> None:
    """Draw a prompt's box and points in its object's colour.

    A foreground point is a filled disc with a plus, a background point a dark disc with a minus.

    Args:
        canvas: (H, W, 3) RGB, drawn into.
        prompt: in pixels of the picture.
        object_id: whose prompt it is.
        pens: sizes.
        ground: learns where the points are.
    """
    import cv2

    ink = colour(object_id)
    corners = prompt.point_labels >= BOX_TOP_LEFT
    pixels = np.clip(np.floor(prompt.point_coords), -(1 << 15), 1 << 15).astype(int).tolist()
    box = [tuple(xy) for xy, is_corner in zip(pixels, corners, strict=True) if is_corner]
    if len(box) == 2:
        cv2.rectangle(canvas, box[0], box[1], DARK, pens.line + 2 * pens.rim)
        cv2.rectangle(canvas, box[0], box[1], ink, pens.line)
    for (x, y), label in zip(pixels, prompt.point_labels.tolist(), strict=True):
        if label < BOX_TOP_LEFT:
            _draw_point(canvas, (x, y), label == FOREGROUND, ink, pens)
            reach = pens.radius + 2 * pens.rim
            ground.take(x - reach, y - reach, x + reach, y + reach)


def _draw_point(canvas: U8, at: tuple[int, int], is_on: bool, ink: Rgb, pens: Pens) -> None:
    """Draw one disc with its sign."""
    import cv2

    radius, width = pens.radius, max(1, pens.radius // 4)
    fill, sign = (ink, ink_on(ink)) if is_on else (DARK, ink)
    cv2.circle(canvas, at, radius + 2 * pens.rim, DARK, -1, cv2.LINE_AA)
    cv2.circle(canvas, at, radius + pens.rim, WHITE, -1, cv2.LINE_AA)
    cv2.circle(canvas, at, radius, fill, -1, cv2.LINE_AA)
    (x, y), arm = at, radius * 3 // 5
    cv2.line(canvas, (x - arm, y), (x + arm, y), sign, width)
    if is_on:
        cv2.line(canvas, (x, y - arm), (x, y + arm), sign, width)


def draw_tags(
    canvas: U8, tags: Sequence[Tag], pens: Pens, ground: Ground, *, all_of_them: bool
) -> None:
    """Write the objects' names, each in or beside its object.

    Args:
        canvas: (H, W, 3) RGB, drawn into.
        tags: in order of importance.
        pens: sizes.
        ground: what is taken by prompts; learns where the tags are.
        all_of_them: whether every tag is drawn, even over another one. If not, those are left out
            for which there is no place, and the rest when a part of the picture is covered.
    """
    h, w = canvas.shape[:2]
    left = h * w * _MOST_TAGGED
    for tag in tags:
        size = pens.text_width(tag.text) + pens.text_h // 2, pens.text_h
        spots = [_inside(spot, size, (w, h)) for spot in _spots(tag, size, pens)]
        free = [(x, y) for x, y in spots if ground.is_free(x, y, x + size[0], y + size[1])]
        if all_of_them or (free and left > size[0] * size[1]):
            x, y = (free or spots)[0]
            left -= size[0] * size[1]
            ground.take(x, y, x + size[0], y + size[1])
            _draw_tag(canvas, tag, (x, y), size, pens)


def _spots(tag: Tag, size_wh: tuple[int, int], pens: Pens) -> Iterator[tuple[int, int]]:
    """Where a tag could go, best first: inside if it hides little of the object, else beside."""
    (tag_w, tag_h), (x, y), (left, top, right, bottom) = size_wh, tag.heart, tag.box
    gap = pens.line + pens.rim
    middle = x - tag_w // 2, y - tag_h // 2
    beside = [
        (left, top - tag_h - gap),
        (left, bottom + gap),
        (right + gap, y - tag_h // 2),
        (left - tag_w - gap, y - tag_h // 2),
    ]
    fits = tag_w * tag_h * 6 < tag.area
    yield from [middle, *beside] if fits else [*beside, middle]


def _inside(
    spot: tuple[int, int], size_wh: tuple[int, int], image_wh: tuple[int, int]
) -> tuple[int, int]:
    """Move a rectangle into the picture."""
    x, y = (
        max(0, min(at, whole - part))
        for at, part, whole in zip(spot, size_wh, image_wh, strict=True)
    )
    return x, y


def _draw_tag(
    canvas: U8, tag: Tag, at: tuple[int, int], size_wh: tuple[int, int], pens: Pens
) -> None:
    """Draw a filled box in the object's colour with its name."""
    import cv2

    (x, y), (w, h) = at, size_wh
    fill, rim = tag.ink, pens.rim
    cv2.rectangle(canvas, (x, y), (x + w - 1, y + h - 1), DARK, -1)
    cv2.rectangle(canvas, (x + rim, y + rim), (x + w - 1 - rim, y + h - 1 - rim), fill, -1)
    pens.write(canvas, tag.text, (x + pens.text_h // 4, y), ink_on(fill))
