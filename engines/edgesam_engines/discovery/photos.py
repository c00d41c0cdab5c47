"""Which photos a head is trained and judged on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesam_engines.discovery.config import DiscoveryRecipe
from edgesam_engines.train.config import Data
from edgesam_engines.train.sources import Entry, list_backdrops, split_sources
from edgesam_rt.types import F32

_RANGE = 10_000


@dataclass(frozen=True)
class Photo:
    """A photo and what is known of it.

    Attributes:
        entry: where it and its id map lie.
        kept_apart: for validation; never trained on.
        boxes: (T, 4) of a photo without id map that has some, px; else None.
        small_too: also encoded at the smaller side.
    """

    entry: Entry
    kept_apart: bool
    boxes: F32 | None
    small_too: bool

    @property
    def name(self) -> str:
        """Of its files in the cache."""
        stem = (self.entry.ids or self.entry.photo).stem
        return f"{self.entry.source}__{stem.replace('.', '_')}"


def choose(root: Path, recipe: DiscoveryRecipe, data: Data) -> list[Photo]:
    """All photos of a recipe below the data folder; those with masks are divided as in `data`."""
    split = split_sources(root, data)
    rules = recipe.features
    chosen = []
    for source, entries in split.train.items():
        most = len(entries) if source in rules.all_of else rules.most_photos
        for entry in sorted(entries, key=_place)[:most]:
            chosen.append(Photo(entry, False, None, _place(entry) < rules.small_share * _RANGE))
    known = _known_boxes(root / "photos")
    for folder in rules.unlabelled:
        for entry in list_backdrops(root / "photos", folder):
            boxes = known.get(f"{folder}/{entry.photo.name}")
            chosen.append(Photo(entry, False, boxes, _place(entry) < rules.small_share * _RANGE))
    kept = [Photo(e, True, None, False) for entries in split.validation.values() for e in entries]
    return chosen + kept


def _place(entry: Entry) -> int:
    """A number in [0, 10,000) that depends on a photo's name alone."""
    text = f"discovery/{entry.source}/{(entry.ids or entry.photo).stem}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _RANGE


def _known_boxes(photos: Path) -> dict[str, F32]:
    path = photos / "boxes.json"
    if not path.is_file():
        return {}
    raw = json.loads(path.read_text("utf-8"))
    return {name: np.array(rows, np.float32).reshape(-1, 4) for name, rows in raw.items()}
