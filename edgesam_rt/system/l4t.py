"""Jetson Linux (L4T): which release a board runs, and which JetPack that is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgesam_rt.system.files import text

RELEASE_FILE = "etc/nv_tegra_release"
_LINE = re.compile(
    r"#\s*R(?P<major>\d+)\s*\(release\),\s*REVISION:\s*(?P<revision>[\d.]+)"
    r"(?:.*?BOARD:\s*(?P<board>\w+))?"
)


@dataclass(frozen=True)
class Release:
    """One release of Jetson Linux.

    Attributes:
        major: 36 of "R36".
        revision: "4.3".
        board: what the file calls the board family: "t210ref", "t186ref", "generic", or "".
    """

    major: int
    revision: str
    board: str = ""

    @property
    def label(self) -> str:
        """As NVIDIA writes it: "R36.4.3"."""
        return f"R{self.major}.{self.revision}"

    @property
    def keys(self) -> tuple[str, ...]:
        """What board files may name it by, the most specific first: "R36 generic", "R36"."""
        own = f"R{self.major}"
        return (f"{own} {self.board}", own) if self.board else (own,)


@dataclass(frozen=True)
class JetPack:
    """What a JetPack carries.

    Attributes:
        name: "6.1 or 6.2".
        major: of its L4T; revision: the first one it holds for, as numbers.
        python: of its Ubuntu.
        cuda, tensorrt: "" where no source says.
    """

    name: str
    major: int
    revision: tuple[int, ...]
    python: tuple[int, int]
    cuda: str
    tensorrt: str


# Newest first; a release is the first row of its major whose revision it reaches. Sources: NVIDIA's
# JetPack archive, jetson-containers' tensorrt/config.py, TensorRT-Edge-LLM's support matrix.
JETPACKS = (
    JetPack("7.2", 39, (0,), (3, 12), "13.2", ""),
    JetPack("7.0 or 7.1", 38, (0,), (3, 12), "13.0", ""),
    JetPack("6.1 or 6.2", 36, (4,), (3, 10), "12.6", "10.3"),
    JetPack("6.0", 36, (2,), (3, 10), "12.2", "8.6"),
    JetPack("5.1", 35, (2,), (3, 8), "11.4", "8.5"),
    JetPack("5.0.2", 35, (0,), (3, 8), "", ""),
    JetPack("5.0 preview", 34, (0,), (3, 8), "", ""),
    JetPack("4.6.1 or later", 32, (7,), (3, 6), "10.2", "8.2"),
    JetPack("4.6", 32, (6,), (3, 6), "10.2", "8.0"),
)


def read(root: Path = Path("/")) -> Release | None:
    """The release this machine runs; None where it is no Jetson, or does not say.

    Args:
        root: where /etc is looked for; tests put a folder of their own here.
    """
    found = _LINE.search(text(root / RELEASE_FILE) or "")
    if found is None:
        return None
    return Release(int(found["major"]), found["revision"].rstrip("."), found["board"] or "")


def jetpack(release: Release) -> JetPack | None:
    """The JetPack a release belongs to; None for one that this table does not know."""
    revision = tuple(int(part) for part in release.revision.split(".") if part)
    rows = (row for row in JETPACKS if row.major == release.major)
    return next((row for row in rows if revision >= row.revision), None)
