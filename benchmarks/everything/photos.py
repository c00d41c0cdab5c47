"""The photos of coco-val with their numbers, and one photo of 640x480."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edgesam_rt.bench.coco import ANNOTATIONS, CocoFolder
from edgesam_rt.errors import ConfigError
from edgesam_rt.types import U8

PHOTOS = "coco-val"
VGA_HW = (480, 640)


class Numbered(NamedTuple):
    """One photo, (H, W, 3) uint8 RGB."""

    image_id: int
    name: str
    pixels: U8


def photos(data: Path, limit: int | None = None) -> Iterator[Numbered]:
    """The first photos of coco-val."""
    folder = data / PHOTOS
    read = CocoFolder(folder, limit)
    listed = json.loads((folder / ANNOTATIONS).read_text(encoding="utf-8"))["images"][:limit]
    for image, photo in zip(listed, read, strict=True):
        yield Numbered(int(image["id"]), photo.name, photo.pixels)


def one_of_vga(data: Path) -> Numbered:
    """The first photo of 640x480.

    Raises:
        ConfigError: there is none.
    """
    for photo in photos(data):
        if photo.pixels.shape[:2] == VGA_HW:
            return photo
    raise ConfigError(f"{data / PHOTOS}: no photo of 640x480 in it.")


def truth(data: Path, image_ids: list[int]) -> Any:
    """What pycocotools knows of some photos: a `COCO`, crowds included."""
    from pycocotools.coco import COCO

    raw = json.loads((data / PHOTOS / ANNOTATIONS).read_text(encoding="utf-8"))
    wanted = set(image_ids)
    raw["images"] = [image for image in raw["images"] if image["id"] in wanted]
    raw["annotations"] = [note for note in raw["annotations"] if note["image_id"] in wanted]
    coco = COCO()
    coco.dataset = raw
    with contextlib.redirect_stdout(io.StringIO()):  # it says "creating index"
        coco.createIndex()
    return coco
