"""The run's record: one JSON object per line, appended, never rewritten."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends records; every one has `kind`, `step` and `time` (seconds since 1970)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end_cut_line()

    def _end_cut_line(self) -> None:
        """So that the next record does not join a line that a crash cut off."""
        written = self._path.read_bytes() if self._path.exists() else b""
        if written and not written.endswith(b"\n"):
            with self._path.open("a", encoding="utf-8") as f:
                f.write("\n")

    def add(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one record in a single write."""
        record = {"kind": kind, "step": step, "time": round(time.time(), 1), **values}
        with self._path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All whole records; a line cut off by a crash is passed over."""
    records = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records.append(record)
    return records


class RunningMean:
    """Exponential means of named figures."""

    def __init__(self, keep: float = 0.98) -> None:
        self._keep = keep
        self._values: dict[str, float] = {}

    def add(self, figures: Mapping[str, float]) -> None:
        """Take in one step's figures; the first sets the mean."""
        for name, value in figures.items():
            old = self._values.get(name, value)
            self._values[name] = self._keep * old + (1 - self._keep) * value

    def rounded(self) -> dict[str, float]:
        """The means, to four places."""
        return {k: round(v, 4) for k, v in self._values.items()}
