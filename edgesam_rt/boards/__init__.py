"""Boards: what each is, and how to run on it, as data files; a new board is one file."""

from __future__ import annotations

import os
from pathlib import Path

from edgesam_rt.boards.detection import best, identify
from edgesam_rt.boards.schema import Board, Detect, LadderStep
from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.system.cpu import usable_cores

__all__ = [
    "Board",
    "Detect",
    "LadderStep",
    "detect",
    "load",
    "names",
    "resolve",
    "usable_cores",
]

DATA = Path(__file__).resolve().parent / "data"
FALLBACK = "cpu"
SEARCH_VARIABLE = "EDGESAM_BOARDS"


def files() -> dict[str, Path]:
    """Data files by board: those in folders named in EDGESAM_BOARDS, then the package's own.

    The variable is separated as PATH is; the first file of a name is the one that counts.
    """
    named = [Path(p) for p in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if p]
    found: dict[str, Path] = {}
    for folder in (*named, DATA):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def names() -> list[str]:
    """Known boards."""
    return sorted(files())


def load(name: str) -> Board:
    """Read a board's data file.

    Raises:
        ConfigError: there is no board of that name, known ones are listed; or its file is wrong.
    """
    known = files()
    if name not in known:
        raise ConfigError(unknown_name("board", name, [*known, "auto"]))
    board = load_toml(known[name], Board)
    if board.name != name:
        raise ConfigError(
            f"{known[name]}: name: expected {name!r}, as the file is called, got {board.name!r}."
        )
    return board


def detect(root: Path = Path("/")) -> str:
    """Name of the board this is; "cpu" where no board's rule fits.

    Args:
        root: where /proc and /etc are looked for; tests put a folder of their own here.

    Raises:
        ConfigError: two boards claim this machine equally.
    """
    rules = {name: load(name).detect for name in names()}
    return best(rules, identify(root)) or FALLBACK


def resolve(name: str, root: Path = Path("/")) -> Board:
    """Load a board by name; "auto" is the one this is."""
    return load(detect(root) if name == "auto" else name)
