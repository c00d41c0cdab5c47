"""A result as a picture that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgesam_rt.drawing import colours, marks, strip
from edgesam_rt.drawing.owners import Owners
from edgesam_rt.drawing.palette import DARK, Rgb, colour
from edgesam_rt.drawing.pens import Pens
from edgesam_rt.drawing.shapes import Place, Shape, shape_of
from edgesam_rt.records import Result, TrackStatus
from edgesam_rt.types import U8

_COLOUR_SHARE = 0.45  # of the fill; the rest is the picture
_CROWD = 40  # objects: so many or more get thin lines and small tags


def draw(result: Result, *, fps: float | None = None) -> U8:
    """Draw masks, prompts and times on the picture of a result.

    Objects are drawn from the largest to the smallest, so that the small ones stay visible. Of many
    objects (everything mode), a small one also hides the outlines of those below it, tags are left
    out where there is no place, and no two neighbours are of like colour. The timing strip is added
    below the picture, which it does not hide; pictures narrower than `strip.MIN_WIDTH` get none.

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
    count = len(result.object_ids)
    pens = Pens.for_side(max(h, w))
    fine = pens.fine() if count >= _CROWD else pens
    owners = Owners((h, w))
    places = list(_paint(picture, result, fine, owners))
    ground = marks.Ground((h, w), fine)
    for object_id, prompt in zip(result.object_ids, result.prompts, strict=False):
        marks.draw_prompt(picture, prompt, object_id, pens, ground)
    tags = [_tag(place, result, owners) for place in places]
    tags += [_lost_tag(track) for track in result.tracks if track.state == "lost"]
    few = count <= colours.FEW
    if not few:  # those of which most is seen first, those of which nothing is seen not at all
        tags = sorted((tag for tag in tags if tag.area), key=lambda tag: -tag.area)
    marks.draw_tags(picture, tags, fine, ground, all_of_them=few)
    if len(canvas) > h:
        strip.draw(canvas[h:], result, fps)
    return canvas


def _paint(picture: U8, result: Result, pens: Pens, owners: Owners) -> Iterator[Place]:
    """Tint and outline every object, the largest first; a smaller one's tint lies on top."""
    masks, inks = result.masks, colours.of(result)
    is_few = len(inks) <= colours.FEW
    later: list[tuple[Sequence[Any], Rgb]] = []
    for i in np.argsort(-masks.areas, kind="stable").tolist():
        shape = shape_of(masks, i, inks[i])
        if shape is None:
            continue
        owners.put(shape)
        _tint(picture, result.frame.pixels, shape)
        if is_few:
            later.append((shape.lines(), inks[i]))
        else:  # of many, specks have no outline
            _outline(picture, shape.lines((4.0 * pens.line) ** 2), inks[i], pens, is_smooth=False)
        yield shape.place
    for lines, ink in later:  # on top of all: where objects overlap, both outlines are seen
        _outline(picture, lines, ink, pens, is_smooth=True)


def _tint(picture: U8, pixels: U8, shape: Shape) -> None:
    """Mix an object's colour with the picture, whatever was drawn there before."""
    import cv2

    left, top, right, bottom = shape.place.box
    part = np.s_[top:bottom, left:right]
    tint = np.array([*shape.place.ink, 0]) * _COLOUR_SHARE
    faint = cv2.convertScaleAbs(pixels[part], alpha=1 - _COLOUR_SHARE)
    cv2.copyTo(cv2.add(faint, tint), shape.mask, picture[part])


def _outline(picture: U8, lines: Sequence[Any], ink: Rgb, pens: Pens, *, is_smooth: bool) -> None:
    """Draw outlines with a dark rim, which sets them off from any ground."""
    import cv2

    how = cv2.LINE_AA if is_smooth else cv2.LINE_8  # smooth ones cost five times as much
    cv2.drawContours(picture, lines, -1, DARK, pens.line + 2 * pens.rim)
    cv2.drawContours(picture, lines, -1, ink, pens.line, how)


def _tag(place: Place, result: Result, owners: Owners) -> marks.Tag:
    object_id, masks = result.object_ids[place.index], result.masks
    is_few = len(result.object_ids) <= colours.FEW
    score = f"  {masks.predicted_iou[place.index]:.2f}" if is_few else ""
    heart, seen = owners.heart(place)
    area = int(masks.areas[place.index]) if is_few else seen
    is_back = bool(result.tracks) and result.tracks[place.index].state == "re-acquired"
    text = f"{object_id}{'  re-acquired' if is_back else ''}{score}"
    return marks.Tag(object_id, text, heart, place.box, area, place.ink)


def _lost_tag(track: TrackStatus) -> marks.Tag:
    """The name of an object that is not seen, where it was seen last."""
    left, top, right, bottom = (int(v) for v in track.last_box_xyxy or (0, 0, 0, 0))
    heart = (left + right) // 2, (top + bottom) // 2
    ink = colour(track.track_id)
    return marks.Tag(
        track.track_id, f"{track.track_id}  lost", heart, (left, top, right, bottom), 0, ink
    )
