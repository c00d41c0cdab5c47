"""Layout of a sample: one photo, or a mosaic of several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgesam_engines.train.augment import GREY, Tile, crop_tile, draw, draw_zoom
from edgesam_engines.train.config import Canvas, Photo
from edgesam_engines.train.sources import Labelled

Rect = tuple[int, int, int, int]  # x0, y0, x1, y1; x1 and y1 exclusive
DrawPhoto = Callable[[], Labelled]
KINDS = ("single", "mosaic2", "mosaic3", "irregular", "backdrop")
_CROSS = (0.3, 0.7)  # where the lines of a 2x2 mosaic may lie
_THIRD_SHIFT = 0.08  # how far the lines of a 3x3 mosaic move, in canvas sides
_CUT = (0.3, 0.7)  # where an irregular cut divides a piece
_MIN_PIECE = 48  # pixels; shorter pieces are not cut further


def draw_kind(rng: np.random.Generator, rules: Canvas) -> str:
    """One of KINDS, by the recipe's shares."""
    shares = np.array([getattr(rules, kind) for kind in KINDS], np.float64)
    return KINDS[int(rng.choice(len(KINDS), p=shares / shares.sum()))]


def layout(kind: str, side: int, rules: Canvas, rng: np.random.Generator) -> list[Rect]:
    """The pieces of a canvas; together they cover it without overlap."""
    if kind == "mosaic2":
        return _grid([round(side * draw(rng, _CROSS))], [round(side * draw(rng, _CROSS))], side)
    if kind == "mosaic3":
        xs, ys = (
            [
                round(side * (third + draw(rng, (-_THIRD_SHIFT, _THIRD_SHIFT))))
                for third in (1 / 3, 2 / 3)
            ]
            for _ in range(2)
        )
        return _grid(xs, ys, side)
    if kind == "irregular":
        return _cuts(int(rng.integers(rules.pieces[0], rules.pieces[1] + 1)), side, rng)
    return [(0, 0, side, side)]


def _grid(xs: list[int], ys: list[int], side: int) -> list[Rect]:
    x, y = [0, *xs, side], [0, *ys, side]
    return [(x[i], y[j], x[i + 1], y[j + 1]) for j in range(len(y) - 1) for i in range(len(x) - 1)]


def _cuts(pieces: int, side: int, rng: np.random.Generator) -> list[Rect]:
    """Cut the largest piece across its longer side until there are enough."""
    rects: list[Rect] = [(0, 0, side, side)]
    while len(rects) < pieces:
        rects.sort(key=lambda r: (r[2] - r[0]) * (r[3] - r[1]))
        x0, y0, x1, y1 = rects[-1]
        if max(x1 - x0, y1 - y0) < 2 * _MIN_PIECE:
            break
        rects.pop()
        if x1 - x0 >= y1 - y0:
            cut = x0 + round((x1 - x0) * draw(rng, _CUT))
            rects += [(x0, y0, cut, y1), (cut, y0, x1, y1)]
        else:
            cut = y0 + round((y1 - y0) * draw(rng, _CUT))
            rects += [(x0, y0, x1, cut), (x0, cut, x1, y1)]
    return rects


def draw_scale(
    inner: Labelled,
    width: int,
    height: int,
    rules: Photo,
    rng: np.random.Generator,
    *,
    alone: bool,
) -> float:
    """How much a photo is scaled before a piece of width x height is cut from it."""
    h, w = inner.image.shape[:2]
    longer_sides: float = max(width, height) / max(h, w)
    if alone:
        return longer_sides * draw_zoom(rng, rules)
    fills = max(width / w, height / h)
    fit: float = fills if rng.random() < rules.cover else longer_sides
    return fit * draw(rng, rules.tile_zoom)


def compose(
    kind: str,
    side: int,
    draw_photo: DrawPhoto,
    canvas: Canvas,
    photo: Photo,
    rng: np.random.Generator,
) -> Tile:
    """A canvas of side x side pixels with ids that differ between pieces."""
    rects = layout(kind, side, canvas, rng)
    image = np.full((side, side, 3), GREY, np.uint8)
    ids = np.zeros((side, side), np.int32)
    used = 0
    for x0, y0, x1, y1 in rects:
        inner, width, height = draw_photo(), x1 - x0, y1 - y0
        scale = draw_scale(inner, width, height, photo, rng, alone=len(rects) == 1)
        tile = crop_tile(inner, width, height, scale, photo, rng)
        h, w = tile.ids.shape
        image[y0 : y0 + h, x0 : x0 + w] = tile.image
        ids[y0 : y0 + h, x0 : x0 + w] = np.where(tile.ids > 0, tile.ids + used, 0)
        used += int(tile.ids.max(initial=0))
    return Tile(image, ids)
