"""Photos with true masks from a folder in COCO's format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_rt.errors import BackendMissing, ConfigError
from edgesam_rt.imaging import rle
from edgesam_rt.imaging.files import read_image
from edgesam_rt.types import U8, Bool

ANNOTATIONS = "annotations.json"
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
            BackendMissing: it has polygons, and pycocotools is not installed.
        """
        self.folder = folder
        raw = _annotations(folder / ANNOTATIONS)
        self._images: list[dict[str, Any]] = raw["images"][:limit]
        self._files = {p.name: p for p in folder.rglob("*") if p.is_file()}
        self._notes: dict[int, list[dict[str, Any]]] = {}
        for note in raw["annotations"]:
            if not note.get("iscrowd"):
                self._notes.setdefault(note["image_id"], []).append(note)
        if any(isinstance(n["segmentation"], list) for n in chain(*self._notes.values())):
            _pycocotools()  # say now what would be missing in a few minutes

    def __len__(self) -> int:
        """How many photos."""
        return len(self._images)

    def __iter__(self) -> Iterator[Photo]:
        """One photo after another; its objects may be none."""
        for image in self._images:
            name = Path(image["file_name"]).name
            if name not in self._files:
                raise ConfigError(f"{name}: listed in {ANNOTATIONS}, but not in the folder.")
            pixels = read_image(self._files[name])
            h, w = pixels.shape[:2]
            notes = self._notes.get(image["id"], [])
            masks = [segmentation_mask(n["segmentation"], (h, w)) for n in notes]
            yield Photo(name, pixels, [m for m in masks if m.sum() >= MIN_AREA])


def _annotations(path: Path) -> dict[str, Any]:
    """The file's content, which has images and annotations."""
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file. Accuracy needs photos with true masks in COCO's form; name "
            f"the folder that holds {ANNOTATIONS} and the photos with --data."
        )
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = raw["images"], raw["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: no annotations in COCO's form: {error!r}.") from error
    return raw


def segmentation_mask(segmentation: Any, hw: tuple[int, int]) -> Bool:
    """COCO's polygons or run lengths as a mask of a photo of (height, width)."""
    filled = isinstance(segmentation, list)
    counts = _polygons(segmentation, hw) if filled else segmentation["counts"]
    runs = np.array(counts, np.int64) if isinstance(counts, list) else rle.decompress(counts)
    return rle.from_runs(runs, hw)


def _polygons(polygons: list[list[float]], hw: tuple[int, int]) -> str:
    """Fill polygons as COCO does; its own code, because the rule at the edges is its own."""
    coco = _pycocotools()
    counts: bytes = coco.merge(coco.frPyObjects(polygons, *hw))["counts"]
    return counts.decode("ascii")


def _pycocotools() -> Any:
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise BackendMissing(f"{error}. pip install 'edgesam_rt[bench]'.") from error
    return coco
