"""Which board is this? Rules of the data files against what the machine says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from edgesam_rt.boards.schema import Detect
from edgesam_rt.errors import ConfigError
from edgesam_rt.system import l4t
from edgesam_rt.system.cpu import cpuinfo

DEVICE_TREE = "proc/device-tree"


class Rank(NamedTuple):
    """How specific a match is; the greater wins.

    Attributes:
        kind: 2 for the model, 1 for a compatible string, 0 for what says little: L4T, a file.
        within: of two matches of a kind.
    """

    kind: int
    within: int


@dataclass(frozen=True)
class Identity:
    """What a machine says of itself.

    Attributes:
        root: of its files.
        model: for people, such as "Raspberry Pi 5 Model B Rev 1.0"; "" where nothing says.
        compatible: the device tree's list, the most specific first.
        release: of Jetson Linux, or None.
    """

    root: Path
    model: str
    compatible: tuple[str, ...]
    release: l4t.Release | None


def identify(root: Path = Path("/")) -> Identity:
    """Ask the device tree, /proc/cpuinfo and /etc/nv_tegra_release.

    A container hides the device tree (Docker masks /sys/firmware); the Raspberry Pi's kernel
    repeats the model in /proc/cpuinfo, and Jetson containers carry the release file.

    Args:
        root: where those are looked for; tests put a folder of their own here.
    """
    tree = root / DEVICE_TREE
    model = " ".join(_strings(tree / "model")) or cpuinfo(root).get("Model", "")
    return Identity(root, model, _strings(tree / "compatible"), l4t.read(root))


def best(rules: Mapping[str, Detect], machine: Identity) -> str | None:
    """Name of the board whose rule matches best; None if none does.

    Raises:
        ConfigError: two boards claim the machine equally.
    """
    ranks = {name: max(_matches(rule, machine), default=None) for name, rule in rules.items()}
    found = {name: rank for name, rank in ranks.items() if rank is not None}
    if not found:
        return None
    top = max(found.values())
    first, *others = sorted(name for name, rank in found.items() if rank == top)
    if others:
        raise ConfigError(
            f"boards {first} and {', '.join(others)} both claim this machine "
            f"({machine.model or 'no model'}). Name one with --board, and make one rule more "
            "specific."
        )
    return first


def _matches(rule: Detect, machine: Identity) -> Iterator[Rank]:
    for beginning in rule.model:
        if beginning and machine.model.startswith(beginning):
            yield Rank(2, len(beginning))
    for place, said in enumerate(machine.compatible):
        if any(fnmatchcase(said, pattern) for pattern in rule.compatible):
            yield Rank(1, -place)
    keys = machine.release.keys if machine.release else ()
    for place, key in enumerate(keys):
        if key in rule.l4t:
            yield Rank(0, -place)
    if any((machine.root / path).is_file() for path in rule.files):
        yield Rank(0, 0)


def _strings(path: Path) -> tuple[str, ...]:
    """The texts of a device tree's property, in their order."""
    try:
        raw = path.read_bytes()
    except OSError:
        return ()
    parts = (part.strip() for part in raw.decode("utf-8", "replace").split("\0"))
    return tuple(part for part in parts if part)
