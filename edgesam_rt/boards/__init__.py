"""Boards: what each is, and how to run on it, as data files; a new board is one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec

from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.manifest import Positive

DATA = Path(__file__).resolve().parent / "data"
FALLBACK = "cpu"


class Detect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to recognise the board; any match counts.

    Attributes:
        compatible: strings of the device tree's `compatible` list.
        model: beginnings of the device tree's `model`.
    """

    compatible: tuple[str, ...] = ()
    model: tuple[str, ...] = ()


class LadderStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of quality; 0 is the best.

    Attributes:
        encoder_side: px, one that the bundle has.
    """

    encoder_side: Positive


class Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One board.

    Attributes:
        name, title: as on the command line, and for people.
        backends: in order of preference.
        bundle: the one that suits it.
        threads: of the engines; 0 for all cores this process may use.
        spin: whether idle threads spin; see BackendOptions.
        camera: default source.
        budget_ms: default latency budget of a live source, capture to result; 0 for none.
        ladder: steps of quality, best first.
        detect: how to recognise it.
        sources: where the facts come from.
    """

    name: str
    title: str
    backends: tuple[str, ...]
    bundle: str
    ladder: Annotated[tuple[LadderStep, ...], msgspec.Meta(min_length=1)]
    sources: tuple[str, ...]
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    spin: bool = False
    camera: str = "v4l2:/dev/video0"
    budget_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    detect: Detect = Detect()

    def thread_count(self) -> int:
        """Threads to use here: never more than this process may run at once."""
        usable = usable_cores()
        return min(self.threads, usable) if self.threads else usable


def usable_cores() -> int:
    """Cores this process may use, at least 1."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def names() -> list[str]:
    """Known boards."""
    return sorted(p.stem for p in DATA.glob("*.toml"))


def load(name: str) -> Board:
    """Read a board's data file.

    Raises:
        ConfigError: there is no board of that name; known ones are listed.
    """
    path = DATA / f"{name}.toml"
    if name not in names():
        raise ConfigError(unknown_name("board", name, [*names(), "auto"]))
    return load_toml(path, Board)


def detect(root: Path = Path("/")) -> str:
    """Name of the board this is, by its device tree; "cpu" where nothing else fits.

    Args:
        root: where /proc is looked for; tests put a folder of their own here.
    """
    tree = root / "proc" / "device-tree"
    compatible = _device_tree_strings(tree / "compatible")
    model = " ".join(_device_tree_strings(tree / "model"))
    for name in names():
        rule = load(name).detect
        if compatible & set(rule.compatible) or any(model.startswith(m) for m in rule.model if m):
            return name
    return FALLBACK


def resolve(name: str, root: Path = Path("/")) -> Board:
    """Load a board by name; "auto" is the one this is."""
    return load(detect(root) if name == "auto" else name)


def _device_tree_strings(path: Path) -> set[str]:
    try:
        raw = path.read_bytes()
    except OSError:
        return set()
    return {part for part in raw.decode("utf-8", "replace").split("\0") if part}
