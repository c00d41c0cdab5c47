"""Reading what Linux tells as small files; where something is missing, it is simply not told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE_S = 5.0


def text(path: Path) -> str | None:
    """The file's words, or None if it is not there or may not be read."""
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None
    return found.replace("\0", "").strip()


def number(path: Path) -> int | None:
    """The whole number in the file, or None."""
    found = text(path)
    try:
        return int(found) if found else None
    except ValueError:
        return None


def listed(folder: Path, pattern: str) -> Iterator[Path]:
    """What matches in a folder, in the order of the numbers in its names; nothing if it is away."""
    try:
        found = list(folder.glob(pattern))
    except OSError:
        return iter(())
    return iter(sorted(found, key=lambda p: (len(p.name), p.name)))


def said_by(command: Sequence[str]) -> str | None:
    """What a command of the board's own writes; None if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
