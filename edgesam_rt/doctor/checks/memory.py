"""Memory, swap and disk."""

from __future__ import annotations

import os
from collections.abc import Iterator

from edgesam_rt.doctor.findings import Fact, Finding, failed, passed, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system.files import number, text

# edgesam-run peaked at 161 MiB (README, "Pipeline, start-up, memory"); half as much again is room.
NEEDED_MIB = 240
LOW_DISK_MIB = 1024  # a venv with the base install takes 300 MB
CGROUP_LIMIT = "sys/fs/cgroup/memory.max"


def memory(patient: Patient) -> Iterator[Finding]:
    """What is there, what is free, and what a container may use."""
    found = _meminfo(text(patient.machine.root / "proc/meminfo") or "")
    if "MemTotal" not in found:
        yield warned("/proc/meminfo tells nothing", "Mount /proc into the container.")
        return
    free = found.get("MemAvailable", found["MemTotal"])
    limit = number(patient.machine.root / CGROUP_LIMIT)
    if limit is not None:
        free = min(free, limit // 2**20)
    total, swap = found["MemTotal"], found.get("SwapTotal", 0)
    facts: dict[str, Fact] = {"total_mib": total, "free_mib": free, "swap_mib": swap}
    said = f"{free} of {total} MiB free, {swap} MiB swap"
    if free < NEEDED_MIB:
        yield failed(
            f"{said}: edgesam-run needs about {NEEDED_MIB}",
            "Stop other programs, or add swap or zram.",
            **facts,
        )
    else:
        yield passed(said, **facts)


def disk(patient: Patient) -> Iterator[Finding]:
    """Free space of the system's disk."""
    found = os.statvfs(patient.machine.root)
    free = found.f_bavail * found.f_frsize // 2**20
    if free < LOW_DISK_MIB:
        yield warned(f"{free} MiB free", "Free some space: sudo apt clean", free_mib=free)
    else:
        yield passed(f"{free} MiB free", free_mib=free)


def _meminfo(content: str) -> dict[str, int]:
    """MiB by name."""
    pairs = (line.split(":", 1) for line in content.splitlines() if ":" in line)
    words = ((name, value.split()) for name, value in pairs)
    return {name: int(w[0]) // 1024 for name, w in words if w and w[0].isdigit()}
