"""Which board this is, and what runs on it below us."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from edgesam_rt.boards import FALLBACK
from edgesam_rt.doctor.findings import Fact, Finding, passed, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system.files import text

LEAST_PYTHON = (3, 10)  # pyproject.toml, requires-python
CONTAINER_MARKS = (".dockerenv", "run/.containerenv")


def board(patient: Patient) -> Iterator[Finding]:
    """Whether the machine is the board it is examined as."""
    row, model = patient.board, patient.identity.model
    about = f"{row.title} ({row.name})" + (f", model {model!r}" if model else "")
    facts: dict[str, Fact] = {"board": row.name, "detected": patient.detected, "model": model}
    if patient.clash:
        yield warned(patient.clash, f"Until then: --board {row.name}.", **facts)
    elif patient.detected != row.name:
        seen = patient.detected
        yield warned(
            f"{about}, as asked; the machine is recognised as {seen!r}.",
            f"edgesam-doctor --board {seen}",
            **facts,
        )
    elif row.name == FALLBACK and model:
        yield passed(f"{about}: no board file of its own, runs as any computer", **facts)
    else:
        yield passed(about, **facts)


def system(patient: Patient) -> Iterator[Finding]:
    """Kernel and distribution."""
    root = patient.machine.root
    release = _os_release(text(root / "etc/os-release") or "")
    kernel = text(root / "proc/sys/kernel/osrelease") or platform.release()
    inside = any((root / mark).exists() for mark in CONTAINER_MARKS)
    where = ", in a container" if inside else ""
    yield passed(
        f"{release}, Linux {kernel}, {platform.machine()}{where}", kernel=kernel, container=inside
    )


def python(patient: Patient) -> Iterator[Finding]:
    """The Python that runs this."""
    venv = sys.prefix != sys.base_prefix
    version = platform.python_version()
    said = f"Python {version}" + (" in a virtual environment" if venv else "")
    if sys.version_info < LEAST_PYTHON:
        yield warned(said, f"Use Python {dotted(LEAST_PYTHON)} or newer.", version=version)
    else:
        yield passed(said, version=version, venv=venv)


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def _os_release(content: str) -> str:
    pairs = dict(line.split("=", 1) for line in content.splitlines() if "=" in line)
    return pairs.get("PRETTY_NAME", "unknown system").strip('"')
