"""Photos with true masks from a folder in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_rt.errors import BackendMissing, ConfigError
from edgesam_rt.imaging import rle
from edgesam_rt.imaging.files import read_image
from edgesam_rt.types import U8, Bool

MIN_AREA = 16  # px; smaller objects are left out


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, (H, W, 3) uint8 RGB, and the (H, W) masks of its objects."""

    name: str
    pixels: U8
    objects: list[Bool]


class CocoFolder:
    """A folder with `annotations.json` and photos below it; crowds are left out."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Read the annotations.

        Args:
            folder: where they lie.
            limit: only the first photos.

        Raises:
            ConfigError: it is no such folder.
        """
        path = folder / "annotations.json"
        if not path.is_file():
            raise ConfigError(
                f"{path}: no such file. The accuracy benchmark needs the evaluation photos; "
                "name the folder that holds coco-val with --data."
            )
        raw = json.loads(path.read_text(encoding="utf-8"))
        self._images: list[dict[str, Any]] = raw["images"][:limit]
        self._files = {p.name: p for p in folder.rglob("*") if p.is_file()}
        self._notes: dict[int, list[dict[str, Any]]] = {}
        for note in raw["annotations"]:
            if not note.get("iscrowd"):
                self._notes.setdefault(note["image_id"], []).append(note)

    def __len__(self) -> int:
        """How many photos."""
        return len(self._images)

    def __iter__(self) -> Iterator[Photo]:
        """One photo after another; its objects may be none."""
        for image in self._images:
            name = Path(image["file_name"]).name
            if name not in self._files:
                raise ConfigError(f"{name}: listed in annotations.json, but not in the folder.")
            pixels = read_image(self._files[name])
            masks = [_mask(n["segmentation"], pixels) for n in self._notes.get(image["id"], [])]
            yield Photo(name, pixels, [m for m in masks if m.sum() >= MIN_AREA])


def _mask(segmentation: Any, pixels: U8) -> Bool:
    """COCO's polygons or run lengths as a mask of the photo's size."""
    hw = (pixels.shape[0], pixels.shape[1])
    filled = isinstance(segmentation, list)
    counts = _polygons(segmentation, hw) if filled else segmentation["counts"]
    runs = np.array(counts, np.int64) if isinstance(counts, list) else rle.decompress(counts)
    return rle.from_runs(runs, hw)


def _polygons(polygons: list[list[float]], hw: tuple[int, int]) -> str:
    """Fill polygons as COCO does; its own code, because the rule at the edges is its own."""
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise BackendMissing(f"{error}. pip install 'edgesam_rt[bench]'.") from error
    counts: bytes = coco.merge(coco.frPyObjects(polygons, *hw))["counts"]
    return counts.decode("ascii")
