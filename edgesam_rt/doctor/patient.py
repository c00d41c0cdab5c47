"""Who is examined: a machine, the board it is taken for, and what it is to run."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesam_rt import boards, bundle
from edgesam_rt.boards import Board
from edgesam_rt.boards.detection import Identity, identify
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError
from edgesam_rt.system.files import said_by

Command = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Machine:
    """How to look at a machine; tests look at a folder.

    Attributes:
        root: of /proc, /sys, /etc and /dev.
        command: runs a tool of the board's own; what it says, or None. It must not hang.
        may_open: whether this user may read and write a device file.
        user: name of this user.
    """

    root: Path = Path("/")
    command: Command = said_by
    may_open: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)
    user: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined.

    Attributes:
        machine: see there.
        identity: what the machine says of itself.
        detected: name of the board it is recognised as; "" if boards clash, see `clash`.
        clash: why no board could be chosen; "" is the rule.
        board: to be examined as.
        bundle_name: asked for; None is the board's.
        quick: fewer sides and repeats.
    """

    machine: Machine
    identity: Identity
    detected: str
    clash: str
    board: Board
    bundle_name: str | None = None
    quick: bool = False

    def bundle(self) -> Bundle:
        """The bundle to examine.

        Raises:
            ConfigError, BundleError: see `bundle.find`.
        """
        return bundle.find(self.bundle_name if self.bundle_name is not None else self.board.bundle)

    def devices(self, pattern: str) -> Iterator[Path]:
        """Device files by pattern, in the order of the numbers in their names."""
        found = (self.machine.root / "dev").glob(pattern)
        return iter(sorted(found, key=lambda p: (len(p.name), p.name)))


def admit(
    board: str = "auto",
    bundle_name: str | None = None,
    *,
    quick: bool = False,
    machine: Machine | None = None,
) -> Patient:
    """Recognise the machine.

    Args:
        board: a name, or "auto".
        bundle_name: see Patient.
        quick: see Patient.
        machine: see Patient; None is this one.

    Raises:
        ConfigError: there is no board of that name.
    """
    machine = machine or Machine(user=_user())
    detected, clash = "", ""
    try:
        detected = boards.detect(machine.root)
    except ConfigError as error:
        clash = str(error)
    chosen = boards.load((detected or boards.FALLBACK) if board == "auto" else board)
    return Patient(
        machine, identify(machine.root), detected, clash, chosen, bundle_name, quick=quick
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have
        return str(os.getuid())
