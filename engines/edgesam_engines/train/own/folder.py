"""A folder of photos with masks as PNG files, in two layouts that may be mixed.

- an id map: `street.jpg` and `street.png`; every value but 0 is an object, 8 or 16 bits, or the
  colours of a palette or RGB picture, where black is nothing. Where the photo itself is
  `street.png`, the map is `street.mask.png`, which always works.
- a folder of the photo's name: `street.jpg` and `street/anything.png`, a mask an object: the
  brighter half of its values is the object (so 0/1 and 0/255 are both good).

With a folder of images of its own, both lie in the other folder at the photo's path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.own.found import (
    MIN_AREA,
    MOST_OBJECTS,
    Found,
    MaskArray,
    Masks,
    pictures_below,
    read_raw,
    unlike,
)
from edgesam_rt.errors import ConfigError

MARKED = ".mask"  # street.mask.png is never taken for a photo


class MaskFolder:
    """See the module; `complaints` fills while masks are read."""

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        """Look through the folder.

        Raises:
            ConfigError: there is no such folder, or no photo in it.
        """
        self.complaints = Complaints()
        self._masks = folder
        self._images = images or folder
        for place in {folder, self._images}:
            if not place.is_dir():
                raise ConfigError(f"train: {place}: no such folder.")
        pictures = pictures_below(self._images)
        taken = set() if images else masks_among(pictures)
        self._photos = [p for p in pictures if p not in taken]
        if not self._photos:
            raise ConfigError(
                f"train: {self._images}: no photos. Expected pictures such as street.jpg, with "
                "their masks as street.png (an id map) or street/*.png (one mask an object)."
            )
        self._list_orphans()

    @property
    def files(self) -> list[Path]:
        """All files that the result depends on."""
        return sorted({*pictures_below(self._images), *pictures_below(self._masks)})

    def __iter__(self) -> Iterator[Found]:
        """All photos, sorted by name."""
        for photo in self._photos:
            name = photo.relative_to(self._images).as_posix()
            yield Found(name, photo, self._masks_of(photo))

    def _masks_of(self, photo: Path) -> Masks | None:
        stem = self._masks / photo.relative_to(self._images).with_suffix("")
        for path in _id_maps(stem):
            if path.is_file() and path != photo:
                return partial(_read_ids, path)
        parts = sorted(stem.glob("*.png")) if stem.is_dir() else []
        return partial(_read_parts, parts) if parts else None

    def _list_orphans(self) -> None:
        """Complain of masks in the other folder that belong to no photo."""
        if self._masks == self._images:
            return
        known = {p.relative_to(self._images).with_suffix("") for p in self._photos}
        for path in pictures_below(self._masks):
            inner = path.relative_to(self._masks)
            own = {inner.with_suffix(""), inner.parent, _unmarked(inner)}
            if not own & known:
                self.complaints.add("mask without a photo", inner.as_posix())


def _id_maps(stem: Path) -> tuple[Path, Path]:
    """Where a photo's id map may lie."""
    return stem.with_name(f"{stem.name}{MARKED}.png"), stem.with_name(f"{stem.name}.png")


def _unmarked(path: Path) -> Path:
    stem = path.with_suffix("")
    return stem.with_suffix("") if stem.suffix == MARKED else stem


def masks_among(pictures: list[Path]) -> set[Path]:
    """Which pictures of one folder are masks of others."""
    stems = {p.with_suffix("") for p in pictures if p.suffix.lower() != ".png"}
    stems |= {_unmarked(p) for p in pictures if p.with_suffix("").suffix == MARKED}
    every = {p.with_suffix("") for p in pictures}
    return {
        p
        for p in pictures
        if p.suffix.lower() == ".png"
        and (p.with_suffix("").suffix == MARKED or p.parent in every or _is_map(p, stems))
    }


def _is_map(path: Path, stems: set[Path]) -> bool:
    """Whether street.png lies beside street.jpg."""
    stem = path.with_suffix("")
    marked = path.with_name(f"{path.stem}{MARKED}.png")
    return stem in stems and not marked.exists()


def _read_ids(path: Path, hw: tuple[int, int], complaints: Complaints) -> Iterator[MaskArray]:
    """The objects of an id map, by their values."""
    raw = read_raw(path)
    if raw is None:
        complaints.add("mask file is no picture, or damaged", path.name)
        return
    if wrong := unlike(raw.shape, hw):
        complaints.add(wrong, f"{path.name}: {_size(raw.shape)}, the photo {_size(hw)}")
        return
    ids = _as_ids(raw)
    values = np.unique(ids)
    values = values[values != 0]
    if len(values) > MOST_OBJECTS:
        complaints.add("id map has thousands of values: a photo, or stored as JPEG once", path.name)
        return
    if not len(values):
        complaints.add("id map is empty", path.name)
    yield from _large_enough((ids == v for v in values), path.name, complaints)


def _as_ids(raw: NDArray[np.generic]) -> NDArray[np.int64]:
    """Grey values as they are, colours packed into one number; black is 0 in both."""
    if raw.ndim == 2:
        return raw.astype(np.int64)
    planes = raw.astype(np.int64)[..., : min(3, raw.shape[2])]
    packed = np.zeros(raw.shape[:2], np.int64)
    for i in range(planes.shape[2]):
        packed = (packed << 16) + planes[..., i]
    return packed


def _read_parts(
    paths: list[Path], hw: tuple[int, int], complaints: Complaints
) -> Iterator[MaskArray]:
    """One mask a file."""
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        raw = read_raw(path)
        if raw is None:
            complaints.add("mask file is no picture, or damaged", name)
        elif wrong := unlike(raw.shape, hw):
            complaints.add(wrong, f"{name}: {_size(raw.shape)}, the photo {_size(hw)}")
        else:
            grey = raw if raw.ndim == 2 else raw[..., :3].max(-1)
            if grey.any():
                yield from _large_enough([grey > grey.max() / 2], name, complaints)
            else:
                complaints.add("mask is empty", name)


def _large_enough(
    masks: Iterable[MaskArray], name: str, complaints: Complaints
) -> Iterator[MaskArray]:
    for mask in masks:
        if np.count_nonzero(mask) >= MIN_AREA:
            yield mask
        else:
            complaints.add(f"mask smaller than {MIN_AREA} pixels", name)


def _size(hw: tuple[int, ...]) -> str:
    return f"{hw[1]}x{hw[0]}"
