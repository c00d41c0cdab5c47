"""What the page says about the machine, the engines and the photos."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import edgesam_rt
from edgesam_rt import boards, bundle

_CPU_KEYS = ("model name", "Model", "Hardware")  # of /proc/cpuinfo: x86, Arm, older Arm
_PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Machine:
    """Where the demo ran.

    Attributes:
        cpu: its name, as the system has it.
        threads: of the engines.
        load: processes that wanted to run in the minute before; None where that is not known.
        board: what the runtime took the machine for.
        system: operating system and architecture.
        versions: of Python, the runtime and what it stands on.
    """

    cpu: str
    threads: int
    load: float | None
    board: str
    system: str
    versions: str

    @property
    def was_busy(self) -> bool:
        """Whether others used the processor: the times are longer than they need be."""
        return self.load is not None and self.load > boards.usable_cores()


@dataclass(frozen=True)
class Engines:
    """What cut the objects out: name, size of its files, licence and origin of its weights."""

    label: str
    precision: str
    megabytes: float
    licence: str
    origin: str


@dataclass(frozen=True)
class Credit:
    """Whose photo a file is; a row of CREDITS.md."""

    file: str
    title: str
    author: str
    licence: str
    origin: str


def machine() -> Machine:
    """Look at this machine; before it is put to work, for its load."""
    board = boards.resolve("auto")
    packages = [f"{name} {_version(name)}" for name in _PACKAGES]
    own = [f"edgesam_rt {edgesam_rt.__version__}", f"Python {platform.python_version()}"]
    return Machine(
        cpu=cpu_name(Path("/proc/cpuinfo")),
        threads=board.thread_count(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        board=f"{board.name} ({board.title})",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=", ".join([*own, *packages]),
    )


def cpu_name(cpuinfo: Path) -> str:
    """Name of the processor; its architecture where the system does not say more."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in found.items()}
    return next((named[key] for key in _CPU_KEYS if named.get(key)), "") or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"  # another build of the same library, as boards' systems bring them


def engines() -> Engines:
    """Read the manifest of the bundle that this board uses."""
    found = bundle.find(boards.resolve("auto").bundle)
    about = found.manifest
    size = sum(engine.size_bytes for engine in about.engines)
    return Engines(found.label, about.precision, size / 1e6, about.licence, about.origin)


def credits(path: Path) -> list[Credit]:
    """Read the table of CREDITS.md."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    return [Credit(*row) for row in cells[1:]]
