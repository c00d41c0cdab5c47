"""Photos with id maps on disk: what there is, which part is kept apart, and a cache of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesam_engines.train.config import Data, RecipeError

Image = NDArray[np.uint8]  # (h, w, 3), RGB
Ids = NDArray[np.int32]  # (h, w), 0 = unlabelled
StoredIds = NDArray[np.uint16]  # the same as it lies on disk
_PHOTO_ENDINGS = (".webp", ".jpg", ".png")
_HASH_RANGE = 10_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A photo on disk and its id map, if it has one."""

    source: str
    photo: Path
    ids: Path | None


@dataclass(frozen=True)
class ObjectRow:
    """One labelled object of a photo."""

    id: int
    area: int  # pixels
    box: tuple[int, int, int, int]  # x0, y0, x1, y1; x1 and y1 exclusive
    cut: bool  # touches the photo's border, so that a part may be missing


@dataclass
class Labelled:
    """A decoded photo."""

    image: Image
    ids: StoredIds

    @cached_property
    def objects(self) -> list[ObjectRow]:
        """All objects, in the order of their ids."""
        h, w = self.ids.shape
        rows = []
        for value in np.unique(self.ids):
            if value == 0:
                continue
            mask = (self.ids == value).view(np.uint8)
            x, y, bw, bh = cv2.boundingRect(mask)
            edge = x == 0 or y == 0 or x + bw == w or y + bh == h
            area = int(np.count_nonzero(mask))
            rows.append(ObjectRow(int(value), area, (x, y, x + bw, y + bh), edge))
        return rows

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.image.nbytes + self.ids.nbytes


class PhotoCache:
    """Decoded photos, the least recently used dropped first."""

    def __init__(self, limit_mib: int) -> None:
        self._limit = limit_mib << 20
        self._held = 0
        self._photos: OrderedDict[Path, Labelled] = OrderedDict()

    def get(self, entry: Entry) -> Labelled:
        """The photo, decoded now or earlier; callers must not write into it."""
        key = entry.ids or entry.photo
        found = self._photos.get(key)
        if found is not None:
            self._photos.move_to_end(key)
            return found
        found = decode(entry)
        self._photos[key] = found
        self._held += found.nbytes
        while self._held > self._limit and len(self._photos) > 1:
            self._held -= self._photos.popitem(last=False)[1].nbytes
        return found


def decode(entry: Entry) -> Labelled:
    """Read a photo and its id map.

    Raises:
        OSError: a file cannot be read, or the two differ in size.
    """
    image = cv2.imread(str(entry.photo), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"cannot read {entry.photo}")
    rgb = np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)
    if entry.ids is None:
        return Labelled(rgb, np.zeros(rgb.shape[:2], np.uint16))
    ids = cv2.imread(str(entry.ids), cv2.IMREAD_UNCHANGED)
    if ids is None or ids.shape != rgb.shape[:2]:
        raise OSError(f"{entry.ids} is no id map of the size of {entry.photo}")
    return Labelled(rgb, ids.astype(np.uint16))


def list_source(masks: Path, name: str, *, allow_doubtful: bool) -> list[Entry]:
    """All photos of one folder of `masks/`, sorted.

    Raises:
        RecipeError: the folder is missing, empty, or its terms forbid commercial use and the recipe
            does not allow that.
    """
    folder = masks / name
    if not (folder / "meta.json").is_file():
        raise RecipeError(f"data.sources.{name}: {folder} has no meta.json")
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    if not allow_doubtful and str(meta.get("commercial_use", "")).startswith("forbidden"):
        raise RecipeError(f"data.sources.{name}: its terms forbid commercial use")
    entries = []
    for ids in sorted(folder.rglob("*.png")):
        stem = ids.name.split(".")[0]  # 0001.png and 0001.2.png belong to 0001.webp
        photo = next(
            (p for e in (".webp", ".jpg") if (p := ids.with_name(stem + e)).exists()), None
        )
        if photo is not None:
            entries.append(Entry(name, photo, ids))
    if not entries:
        raise RecipeError(f"data.sources.{name}: {folder} holds no pairs of photo and id map")
    return entries


def list_backdrops(photos: Path, name: str) -> list[Entry]:
    """All photos of one folder of `photos/`, sorted."""
    folder = photos / name
    found = sorted(p for p in folder.rglob("*") if p.suffix in _PHOTO_ENDINGS)
    if not found:
        raise RecipeError(f"data.backdrops.{name}: {folder} holds no photos")
    return [Entry(name, p, None) for p in found]


def held_out(entry: Entry, part: float, seed: int) -> bool:
    """Whether a photo is kept for validation; depends on its name alone, not on other photos."""
    text = f"{seed}/{entry.source}/{entry.photo.stem}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _HASH_RANGE < part * _HASH_RANGE


@dataclass(frozen=True)
class Split:
    """The photos of a recipe."""

    train: dict[str, list[Entry]]
    validation: dict[str, list[Entry]]
    backdrops: dict[str, list[Entry]]


def _divide(masks: Path, name: str, part: float, data: Data) -> tuple[list[Entry], list[Entry]]:
    """The photos of a source to train on, and those kept for validation.

    Labels in an extra root take the place of the photo's own, but never in validation; so a source
    that only extra roots have is all for training.
    """
    extra = _list_extra(name, data)
    if extra and not (masks / name).is_dir():
        return [extra[key] for key in sorted(extra)], []
    entries = list_source(masks, name, allow_doubtful=data.allow_doubtful_terms)
    apart = [held_out(e, part, data.split_seed) for e in entries]
    train = [extra.get(_key(e), e) for e, v in zip(entries, apart, strict=True) if not v]
    return train, [e for e, v in zip(entries, apart, strict=True) if v]


def _list_extra(name: str, data: Data) -> dict[str, Entry]:
    """The photos of a source in the extra roots, by the names of their id maps."""
    found: dict[str, Entry] = {}
    for root in map(Path, data.extra_roots):
        if not root.is_dir():
            raise RecipeError(
                f"data.extra_roots: {root} is no folder; make it by "
                "`python -m edgesam_engines.train.pseudo label`, or take it out of the recipe"
            )
        if (root / name / "meta.json").is_file():
            entries = list_source(root, name, allow_doubtful=data.allow_doubtful_terms)
            found |= {_key(e): e for e in entries}
    return found


def _key(entry: Entry) -> str:
    return (entry.ids or entry.photo).name


def split_sources(root: Path, data: Data) -> Split:
    """List all sources of a recipe below the data folder and divide them."""
    train: dict[str, list[Entry]] = {}
    validation: dict[str, list[Entry]] = {}
    for name, source in data.sources.items():
        part = data.holdout if source.holdout is None else source.holdout
        train[name], validation[name] = _divide(root / "masks", name, part, data)
    backdrops = {n: list_backdrops(root / "photos", n) for n in data.backdrops}
    log.info(
        "%d photos to train on, %d for validation, %d backdrops",
        sum(map(len, train.values())),
        sum(map(len, validation.values())),
        sum(map(len, backdrops.values())),
    )
    return Split(train, validation, backdrops)
