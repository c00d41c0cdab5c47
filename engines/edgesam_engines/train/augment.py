"""Augmentation of one photo with its id map: zoom, crop, flip, colour."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from edgesam_engines.train.config import Photo, Range
from edgesam_engines.train.sources import Ids, Image, Labelled, StoredIds

GREY = 127  # fill of what no photo covers; the engines pad with it too
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Tile(NamedTuple):
    """A piece of a sample; may be smaller than asked for, then grey follows right and below."""

    image: Image
    ids: Ids


def draw(rng: np.random.Generator, bounds: Range) -> float:
    """A number between two bounds."""
    return float(rng.uniform(*bounds))


def draw_zoom(rng: np.random.Generator, rules: Photo) -> float:
    """Zoom of a photo that fills a sample alone."""
    if rng.random() < rules.plain:
        return 1.0
    return draw(rng, rules.zoom_out if rng.random() < rules.out else rules.zoom_in)


def resize(image: Image, ids: StoredIds, scale: float) -> Tile:
    """Both maps scaled; the ids without mixing."""
    h, w = ids.shape
    size = (max(8, round(w * scale)), max(8, round(h * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, size, interpolation=how)
    small_ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return Tile(small.astype(np.uint8, copy=False), small_ids.astype(np.int32))


def crop_tile(
    photo: Labelled, width: int, height: int, scale: float, rules: Photo, rng: np.random.Generator
) -> Tile:
    """A random crop of at most width x height of the photo scaled by `scale`, augmented."""
    h, w = photo.ids.shape
    want_w, want_h = math.ceil(width / scale), math.ceil(height / scale)
    x0 = int(rng.integers(0, max(0, w - want_w) + 1))
    y0 = int(rng.integers(0, max(0, h - want_h) + 1))
    part = (slice(y0, y0 + want_h), slice(x0, x0 + want_w))
    tile = resize(photo.image[part], photo.ids[part], scale)
    image, ids = tile.image[:height, :width], tile.ids[:height, :width]
    if rng.random() < rules.flip:
        image, ids = image[:, ::-1], ids[:, ::-1]
    return Tile(recolour(image, rules, rng), ids)


def recolour(image: Image, rules: Photo, rng: np.random.Generator) -> Image:
    """Contrast, brightness, saturation, tint, greyscale, blur; each drawn anew."""
    if rng.random() < rules.blur:
        image = cv2.GaussianBlur(image, (0, 0), draw(rng, (0.4, 1.2))).astype(np.uint8, copy=False)
    grey = rng.random() < rules.grey
    if not grey and rng.random() >= rules.colour:
        return np.ascontiguousarray(image)
    contrast, brightness = draw(rng, rules.contrast), draw(rng, rules.brightness)
    saturation = 0.0 if grey else draw(rng, rules.saturation)
    tint = rng.uniform(*rules.tint, 3).astype(np.float32)
    # All of it is one 3x4 matrix: out = tint * (s * x + (1 - s) * luma(x)), then contrast.
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _LUMA
    matrix = tint[:, None] * matrix * contrast
    offset = np.full(3, GREY * (1 - contrast) + brightness, np.float32)
    full = np.concatenate([matrix, offset[:, None]], 1)
    out = cv2.transform(np.ascontiguousarray(image), full)
    return out.astype(np.uint8, copy=False)
