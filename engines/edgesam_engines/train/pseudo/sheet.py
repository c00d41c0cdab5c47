"""Contact sheets of labels, for a look by eye."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo.write import META, Record
from edgesam_engines.train.sources import Image, Labelled, decode, list_source

_CELL = 300  # pixels
_MIX = 0.5  # of the colour in a mask
_OLD = (255, 255, 255)  # colour of labels that were there before
_HUES = 12


def draw_sheet(folder: Path, count: int, columns: int, seed: int) -> Image:
    """Some labelled photos of a folder, drawn anew for every seed.

    Args:
        folder: as `label` writes it.
        count: photos at most.
        columns: photos in a row.
        seed: of the choice.

    Returns:
        (H, W, 3) RGB: new objects in colours with class and trust, older labels in white.
    """
    if not (folder / META).is_file():
        raise RecipeError(
            f"{folder}: expected labels with a {META}, found none; a folder gets it when "
            "`label` has done all its photos"
        )
    objects = json.loads((folder / META).read_text("utf-8")).get("objects", {})
    entries = list_source(folder.parent, folder.name, allow_doubtful=False)
    chosen = np.random.default_rng(seed).permutation(len(entries))[:count]
    cells = []
    for i in sorted(chosen.tolist()):
        name = entries[i].photo.stem
        cells.append(_cell(decode(entries[i]), objects.get(name, []), name))
    blank = np.zeros_like(cells[0])
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, 0)


def _cell(photo: Labelled, objects: list[Record], name: str) -> Image:
    """One photo with its masks, in a square."""
    h, w = photo.ids.shape
    scale = _CELL / max(h, w)
    size = (round(w * scale), round(h * scale))
    image = cv2.resize(photo.image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    ids = cv2.resize(photo.ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
    new = {o["id"]: o for o in objects}
    for i, value in enumerate(int(v) for v in np.unique(ids) if v):
        colour = _hue(i) if value in new else _OLD
        _tint(image, (ids == value).astype(np.uint8), colour)
        if value in new:
            _write(image, new[value], scale, colour)
    out = np.zeros((_CELL, _CELL, 3), np.uint8)
    out[: size[1], : size[0]] = image
    cv2.putText(out, name, (4, _CELL - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.35, _OLD, 1, cv2.LINE_AA)
    return out


def _hue(i: int) -> tuple[int, int, int]:
    pixel = np.array([[[i * 5 % _HUES * (180 // _HUES), 255, 255]]], np.uint8)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return r, g, b


def _tint(image: Image, mask: Image, colour: tuple[int, int, int]) -> None:
    inside = mask.astype(bool)
    mixed = (1 - _MIX) * image[inside] + _MIX * np.array(colour)
    image[inside] = mixed.astype(np.uint8)
    outline = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(image, outline, -1, colour, 1)


def _write(image: Image, one: Record, scale: float, colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = (round(v * scale) for v in one["box_xyxy"])
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, 1)
    text, at = f"{one['class']} {one['trust']:.2f}", (x0 + 2, y0 + 11)
    for ink, width in (((0, 0, 0), 2), (_OLD, 1)):
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.35, ink, width, cv2.LINE_AA)
