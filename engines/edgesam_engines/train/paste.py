"""Copy-paste: things cut out of one photo, laid over another, with what they cover kept right."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesam_engines.train.augment import Tile, draw, recolour
from edgesam_engines.train.canvas import DrawPhoto
from edgesam_engines.train.config import Paste, Photo
from edgesam_engines.train.sources import Image, Labelled

_MARGIN = 4  # pixels of the photo kept around a cut-out, so that its edge blends
_ATTEMPTS = 4  # photos looked at before giving up on finding a whole object
_MIN_SIDE = 12  # pixels; smaller things are not pasted
_GROUP_STEP = (0.5, 1.1)  # distance of a group's copies, in sizes of the thing
_GROUP_SIZES = (0.85, 1.15)  # sizes of its copies, relative to each other
_SOFT_EDGE = (0.3, 0.9)  # blur of the outline, in pixels


class Cutout(NamedTuple):
    """A thing without its surroundings."""

    image: Image  # (h, w, 3)
    alpha: NDArray[np.float32]  # (h, w) in [0, 1]


def find_cutout(draw_photo: DrawPhoto, rules: Paste, rng: np.random.Generator) -> Cutout | None:
    """A random whole object at its size in its photo; None after a few tries without one."""
    for _ in range(_ATTEMPTS):
        photo = draw_photo()
        whole = [o for o in photo.objects if o.area >= rules.min_source and not o.cut]
        if whole:
            return _cut(photo, whole[int(rng.integers(len(whole)))].id)
    return None


def _cut(photo: Labelled, wanted: int) -> Cutout:
    mask = (photo.ids == wanted).view(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    part = (
        slice(max(0, y - _MARGIN), y + h + _MARGIN),
        slice(max(0, x - _MARGIN), x + w + _MARGIN),
    )
    return Cutout(photo.image[part], mask[part].astype(np.float32))


def transform(
    cutout: Cutout, side: float, rules: Paste, photo: Photo, rng: np.random.Generator
) -> Cutout | None:
    """Scale to a longer side of `side` pixels, rotate, flip, recolour; None if too small then."""
    h, w = cutout.alpha.shape
    scale = min(side / max(h, w), rules.enlarge)
    if max(h, w) * scale < _MIN_SIDE:
        return None
    image, alpha = cutout
    if scale < 1:  # shrink with area averaging first: the warp below would alias
        size = (max(2, round(w * scale)), max(2, round(h * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
        scale = 1.0
    image, alpha = _rotate(image, alpha, scale, draw(rng, (-rules.rotate, rules.rotate)))
    if rng.random() < photo.flip:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    soft = cv2.GaussianBlur(np.ascontiguousarray(alpha), (0, 0), draw(rng, _SOFT_EDGE))
    return Cutout(recolour(image, photo, rng), soft.astype(np.float32, copy=False))


def _rotate(
    image: Image, alpha: NDArray[np.float32], scale: float, degrees: float
) -> tuple[Image, NDArray[np.float32]]:
    h, w = alpha.shape
    c, s = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    size = (math.ceil((w * c + h * s) * scale), math.ceil((w * s + h * c) * scale))
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, scale)
    matrix[:, 2] += (size[0] / 2 - w / 2, size[1] / 2 - h / 2)
    turned = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    turned_alpha = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR)
    return turned.astype(np.uint8, copy=False), turned_alpha.astype(np.float32, copy=False)


def lay(canvas: Tile, thing: Cutout, x: int, y: int, new_id: int) -> None:
    """Blend a thing into a canvas, in place, its upper left corner at (x, y), which may be outside.

    Pixels that the thing covers by half or more take the new id, whatever they were.
    """
    side_h, side_w = canvas.ids.shape
    h, w = thing.alpha.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(side_w, x + w), min(side_h, y + h)
    if x0 >= x1 or y0 >= y1:
        return
    src = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
    dst = (slice(y0, y1), slice(x0, x1))
    alpha = thing.alpha[src][..., None]
    below = canvas.image[dst].astype(np.float32)
    canvas.image[dst] = (below + (thing.image[src] - below) * alpha + 0.5).astype(np.uint8)
    canvas.ids[dst][alpha[..., 0] >= 0.5] = new_id


def paste_things(
    canvas: Tile,
    count: int,
    draw_photo: DrawPhoto,
    rules: Paste,
    photo: Photo,
    rng: np.random.Generator,
) -> None:
    """Lay up to `count` things over a canvas, in place, some of them as groups of copies.

    Objects of which too little stays visible lose their id.
    """
    areas = np.bincount(canvas.ids.ravel()).tolist()  # by id, as if nothing were covered
    side = canvas.ids.shape[0]
    low, high = (math.log(v) for v in rules.side)
    left = count
    while left > 0:
        cutout = find_cutout(draw_photo, rules, rng)
        size = side * math.exp(rng.uniform(low, high))
        grouped = rng.random() < rules.repeat
        copies = int(rng.integers(rules.copies[0], rules.copies[1] + 1)) if grouped else 1
        left -= copies
        if cutout is not None:
            areas += _paste_group(canvas, cutout, copies, size, len(areas), rules, photo, rng)
    drop_covered(canvas, np.array(areas, np.int64), rules.visible)


def _paste_group(
    canvas: Tile,
    cutout: Cutout,
    copies: int,
    size: float,
    first_id: int,
    rules: Paste,
    photo: Photo,
    rng: np.random.Generator,
) -> list[int]:
    """Lay copies beside each other, each transformed anew; gives the pixels of each."""
    at = rng.uniform(0, canvas.ids.shape[0], 2)
    areas: list[int] = []
    for i in range(copies):
        thing = transform(cutout, size * draw(rng, _GROUP_SIZES), rules, photo, rng)
        if thing is None:
            break
        h, w = thing.alpha.shape
        lay(canvas, thing, round(at[0] - w / 2), round(at[1] - h / 2), first_id + i)
        areas.append(int((thing.alpha >= 0.5).sum()))
        angle, far = rng.uniform(0, 2 * math.pi), draw(rng, _GROUP_STEP)
        at = at + far * np.array([w * math.cos(angle), h * math.sin(angle)])
    return areas


def drop_covered(canvas: Tile, before: NDArray[np.int64], visible: float) -> None:
    """Set ids to 0, in place, where less than `visible` of the pixels counted before is left."""
    after = np.bincount(canvas.ids.ravel(), minlength=len(before))
    lost = after < visible * before
    lost[0] = False
    if lost.any():
        canvas.ids[lost[canvas.ids]] = 0
