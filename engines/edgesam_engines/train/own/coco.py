"""COCO's instances JSON: polygons and both kinds of run lengths; crowds are left out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.own.found import MIN_AREA, Found, MaskArray, pictures_below
from edgesam_rt.bench.coco import segmentation_mask
from edgesam_rt.errors import BackendMissing, ConfigError, EdgeSamError

Note = Mapping[str, Any]
_CORNERS = 3  # a polygon needs


class CocoFile:
    """See the module; `complaints` fills while masks are read."""

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """Read the file and look up its pictures.

        Args:
            path: the JSON.
            images: folder of the photos; None: where the JSON lies.

        Raises:
            ConfigError: it is not in COCO's form, or none of its pictures is there.
        """
        self.complaints = Complaints()
        self._path = path
        self._folder = images or path.parent
        if not self._folder.is_dir():
            raise ConfigError(f"train: {self._folder}: no such folder.")
        raw = _read(path)
        self._categories = {c.get("id"): str(c.get("name")) for c in raw.get("categories", [])}
        self._photos = self._look_up(raw["images"])
        if not self._photos:
            raise ConfigError(
                f"train: {path}: none of its {len(raw['images'])} pictures lies below "
                f"{self._folder}. Name their folder with --images."
            )
        self._notes = self._by_photo(raw["images"], raw["annotations"])

    @property
    def files(self) -> list[Path]:
        """All files that the result depends on."""
        return [self._path, *(path for path, _ in self._photos.values())]

    def __iter__(self) -> Iterator[Found]:
        """All photos, sorted by name."""
        for name, (path, size_hw) in sorted(self._photos.items()):
            notes = self._notes.get(name)
            yield Found(name, path, partial(self._masks, name, size_hw) if notes else None)

    def _look_up(self, images: list[Note]) -> dict[str, tuple[Path, tuple[int, int]]]:
        """Path and stated (height, width) of every picture that is there, by its name."""
        by_name = {p.name: p for p in pictures_below(self._folder)}
        found = {}
        for image in images:
            name = str(image.get("file_name", ""))
            path = self._folder / name
            if not name or not path.is_file():
                path = by_name.get(Path(name).name, path)
            if not name or not path.is_file():
                self.complaints.add("picture is missing", name or f"id {image.get('id')}")
                continue
            found[name] = (path, (int(image.get("height", 0)), int(image.get("width", 0))))
        return found

    def _by_photo(self, images: list[Note], notes: list[Note]) -> dict[str, list[Note]]:
        names = {image.get("id"): str(image.get("file_name", "")) for image in images}
        found: dict[str, list[Note]] = defaultdict(list)
        for note in notes:
            name = names.get(note.get("image_id"))
            if name is None:
                self.complaints.add("annotation of a picture that is not listed", _where(note))
            elif note.get("iscrowd"):
                self.complaints.add("crowd region (not one object), left out")
            elif name in self._photos:
                found[name].append(note)
        return found

    def _masks(
        self, name: str, stated_hw: tuple[int, int], hw: tuple[int, int], complaints: Complaints
    ) -> Iterator[MaskArray]:
        """All good masks of a photo of (height, width)."""
        if stated_hw not in ((0, 0), hw):
            (h, w), (stated_h, stated_w) = hw, stated_hw
            complaints.add(
                "picture has another size than the JSON says",
                f"{name}: {w}x{h}, stated {stated_w}x{stated_h}",
            )
            return
        for note in self._notes[name]:
            try:
                mask = _mask(note, hw)
            except _BadError as error:
                category = self._categories.get(note.get("category_id"), "no category")
                complaints.add(f"annotation of {category!r} {error}", f"{name}, {_where(note)}")
            else:
                yield mask


class _BadError(Exception):
    """What is wrong with an annotation."""


def _mask(note: Note, hw: tuple[int, int]) -> MaskArray:
    segmentation = note.get("segmentation")
    if not segmentation:
        raise _BadError("has no segmentation")
    if isinstance(segmentation, list):
        segmentation = _polygons(segmentation)
    elif not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise _BadError("has a segmentation that is neither polygons nor run lengths")
    elif tuple(segmentation.get("size", hw)) != hw:
        raise _BadError("has run lengths for another size than its picture's")
    try:
        mask = segmentation_mask(segmentation, hw)
    except BackendMissing:
        raise  # nothing is wrong with the annotation
    except (EdgeSamError, TypeError, ValueError) as error:
        raise _BadError("has run lengths that do not fit its picture") from error
    if np.count_nonzero(mask) < MIN_AREA:
        raise _BadError(f"covers less than {MIN_AREA} pixels of its picture")
    return mask


def _polygons(given: list[Any]) -> list[list[float]]:
    """Those that have an area; all numbers finite."""
    flat = all(isinstance(v, (int, float)) for v in given)  # [x, y, …] instead of [[x, y, …]]
    good = []
    for polygon in [given] if flat else given:
        try:
            values = np.asarray(polygon, np.float64)
        except (TypeError, ValueError) as error:
            raise _BadError("has a polygon that is no list of numbers") from error
        if values.ndim != 1 or len(values) % 2 or not np.isfinite(values).all():
            raise _BadError("has a polygon that is no list of x, y, x, y …")
        if len(values) >= 2 * _CORNERS:
            good.append(values.tolist())
    if not good:
        raise _BadError(f"has no polygon of {_CORNERS} corners or more")
    return good


def _where(note: Note) -> str:
    return f"id {note.get('id')}"


def _read(path: Path) -> dict[str, Any]:
    """The file's content, with lists of images and annotations.

    Raises:
        ConfigError: it has none.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"train: {path}: not a JSON file: {error}.") from error
    lists = ("images", "annotations")
    if not isinstance(raw, dict) or not all(_is_rows(raw.get(k)) for k in lists):
        raise ConfigError(
            f'train: {path}: expected COCO\'s instances form, an object with the lists "images" '
            'and "annotations". Detections (a bare list) name no pictures and are not enough.'
        )
    found: dict[str, Any] = raw
    return found


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)
