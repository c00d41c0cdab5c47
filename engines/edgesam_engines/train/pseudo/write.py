"""A folder of labels, of the form of `masks/SOURCE/`, written photo by photo and resumable.

While a folder is being made it holds `progress.jsonl`, one line a photo done, after a first line
that says what made them; when all are done it gets `meta.json`, without which nobody trains on it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgesam_engines.train.checkpoint import replace_bytes
from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo.teacher import Proposal
from edgesam_engines.train.sources import Entry, StoredIds

PROGRESS, META = "progress.jsonl", "meta.json"
Record = dict[str, Any]


class LabelFolder:
    """One source's output."""

    def __init__(self, folder: Path, maker: Record) -> None:
        """Open or go on with a folder.

        Args:
            folder: made if it is missing.
            maker: hashes of teacher, detector and rules; all labels of a folder have one maker.

        Raises:
            RecipeError: another maker began the folder.
        """
        self._folder, self._maker = folder, maker
        folder.mkdir(parents=True, exist_ok=True)
        lines = read_lines(folder / PROGRESS)
        if lines and lines[0] != maker:
            raise RecipeError(
                f"{folder}: expected labels made by {maker}, found some by {lines[0]}; "
                "give another --out, or remove the folder"
            )
        self.done: dict[str, Record] = {line["photo"]: line for line in lines[1:]}
        if not lines:
            self._append(maker)
        self._end_cut_line()

    def _end_cut_line(self) -> None:
        """So that the next record does not join a line that a crash cut off."""
        text = (self._folder / PROGRESS).read_bytes()
        if not text.endswith(b"\n"):
            with (self._folder / PROGRESS).open("ab") as f:
                f.write(b"\n")

    def _append(self, record: Record) -> None:
        with (self._folder / PROGRESS).open("a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")

    def add(
        self, entry: Entry, ids: StoredIds, proposals: list[Proposal], seen: int, old: int
    ) -> None:
        """Write a photo's id map and a copy of the photo, if it has new objects; then note it.

        Args:
            entry: the photo.
            ids: (h, w) old and new objects.
            proposals: the new objects; number i has the id `old + 1 + i`.
            seen: boxes that the detector found.
            old: largest id that the photo had before.
        """
        name = photo_key(entry)
        if proposals:
            kind = np.uint8 if ids.max() < 1 << 8 else np.uint16
            packed = cv2.imencode(".png", ids.astype(kind))[1].tobytes()
            photo = entry.photo.read_bytes()
            replace_bytes(self._folder / entry.photo.name, photo)
            replace_bytes(self._folder / f"{name}.png", packed)
        objects = [describe(p, old + 1 + i) for i, p in enumerate(proposals)]
        record: Record = {"photo": name, "seen": seen, "objects": objects}
        self.done[name] = record
        self._append(record)

    def finish(self, inherited: Record) -> Record:
        """Write `meta.json`.

        Args:
            inherited: what the photos' own folder says of origin and terms.

        Returns:
            What was written.
        """
        photos = {n: r["objects"] for n, r in sorted(self.done.items()) if r["objects"]}
        meta: Record = {
            **inherited,
            "kind": "instance",
            "exhaustive": False,
            "pseudo": True,
            "made_by": self._maker,
            "photos_asked": len(self.done),
            "photos_here": len(photos),
            "boxes_seen": sum(r["seen"] for r in self.done.values()),
            "masks": sum(map(len, photos.values())),
            "objects": photos,
        }
        text = json.dumps(meta, indent=1) + "\n"
        replace_bytes(self._folder / META, text.encode())
        return meta


def photo_key(entry: Entry) -> str:
    """Name of the photo's labels: that of its id map, where several belong to a photo."""
    return (entry.ids or entry.photo).stem


def describe(proposal: Proposal, number: int) -> Record:
    """One object of `meta.json`."""
    return {
        "id": number,
        "class": proposal.found.name,
        "box_xyxy": [round(v, 1) for v in proposal.found.box_xyxy],
        "area": int(proposal.mask.sum()),
        "trust": round(proposal.scores.trust, 4),
        **proposal.scores._asdict(),
    }


def read_lines(path: Path) -> list[Record]:
    """All whole records; a line cut off by a crash is passed over."""
    records = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records
