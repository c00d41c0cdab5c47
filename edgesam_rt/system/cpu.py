"""The processor: its name, the instructions that kernels choose by, and the cores we may use."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from edgesam_rt.system.files import text

# What integer and float kernels choose by, as the Linux kernel spells it on x86 and on Arm.
FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_tile"),
    *("asimd", "asimddp", "i8mm", "sve"),
)
# Arm kernels name no model: the part number of the core (Arm's MIDR_EL1) does.
ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
}


def usable_cores() -> int:
    """Cores this process may use, at least 1."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpuinfo(root: Path = Path("/")) -> dict[str, str]:
    """The last value of every key of /proc/cpuinfo; empty where there is none."""
    lines = (text(root / "proc/cpuinfo") or "").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def flags(cpu: Mapping[str, str]) -> tuple[str, ...]:
    """Those of FLAGS that a processor has, given its `cpuinfo`."""
    known = set(cpu.get("flags", cpu.get("Features", "")).split())
    return tuple(flag for flag in FLAGS if flag in known)


def name(cpu: Mapping[str, str]) -> str:
    """What the processor is called, given its `cpuinfo`."""
    part = cpu.get("CPU part")
    named = ARM_PARTS.get(part, f"Arm core {part}") if part else platform.processor()
    return cpu.get("model name") or named or "unknown"
