"""What was laid out for a training, and its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgesam_engines.train.sources import Entry, Split

SOURCE = "own"  # the name of this source in recipes
TRAIN, HELD_OUT, IDS, INDEX = "train", "held-out", "ids", "index.json"


class Row(msgspec.Struct, frozen=True):
    """One photo: its name, its file's stem here, its part, its number of objects."""

    name: str
    key: str
    part: str
    objects: int


class Index(msgspec.Struct, frozen=True):
    """What `index.json` holds; `inputs` changes with any file or rule the result depends on."""

    format: int
    inputs: str
    rows: list[Row]
    complaints: list[str]


@dataclass
class Prepared:
    """Photos that are laid out below `folder`."""

    folder: Path
    index: Index
    split: Split = field(init=False)
    unlabelled: dict[str, list[Entry]] = field(init=False)  # by part

    def __post_init__(self) -> None:
        """List the files."""
        found: dict[tuple[str, bool], list[Entry]] = {}
        for row in self.index.rows:
            found.setdefault((row.part, row.objects > 0), []).append(self._entry(row))
        train, kept = ({SOURCE: found.get((p, True), [])} for p in (TRAIN, HELD_OUT))
        self.split = Split(train, kept, {})
        self.unlabelled = {p: found.get((p, False), []) for p in (TRAIN, HELD_OUT)}

    def _entry(self, row: Row) -> Entry:
        ids = self.folder / IDS / f"{row.key}.png" if row.objects else None
        return Entry(SOURCE, self.folder / row.part / f"{row.key}.jpg", ids)

    def summary(self) -> list[str]:
        """What was found, and what was left out, for people."""
        lines = []
        for part, words in ((TRAIN, "to learn from"), (HELD_OUT, "held out")):
            rows = [r for r in self.index.rows if r.part == part]
            objects = sum(r.objects for r in rows)
            lines.append(f"{len(rows)} photos {words}, with {objects} objects")
        return lines + [f"left out or doubtful: {line}" for line in self.index.complaints]


def read_index(path: Path) -> Index | None:
    """Read it; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.MsgspecError):
        return None
