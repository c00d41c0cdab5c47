"""Where a benchmark ran: without this, its figures mean nothing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import edgesam_rt
from edgesam_rt.bench.report import Machine
from edgesam_rt.boards import detect
from edgesam_rt.system import cpu
from edgesam_rt.system.files import said_by, text

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "msgspec")
OPTIONAL = ("ai-edge-litert", "tflite-runtime", "tensorrt", "pycuda", "picamera2")


def machine(root: Path = Path("/"), board: str | None = None) -> Machine:
    """What this machine is.

    Args:
        root: where /proc and /sys are looked for; tests put a folder of their own here.
        board: the board's name, where it is known; None looks for it.
    """
    about = cpu.cpuinfo(root)
    return Machine(
        arch=platform.machine(),
        cpu=cpu.name(about),
        cpu_flags=cpu.flags(about),
        cores=os.cpu_count() or 1,
        memory_mib=_memory_mib(root),
        model=_model(root),
        board=detect(root) if board is None else board,
    )


def software(root: Path = Path("/")) -> dict[str, str]:
    """Versions of what the figures depend on, by name; what is not here is left out."""
    found: Mapping[str, str | None] = {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "l4t": text(root / "etc/nv_tegra_release"),
        "edgesam_rt": edgesam_rt.__version__,
        **{name: package_version(name) for name in (*PACKAGES, *OPTIONAL)},
    }
    return {name: value for name, value in found.items() if value}


def package_version(package: str) -> str | None:
    """Of an installed distribution; None if there is none (a bare checkout)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def power_mode() -> str | None:
    """Jetson's power mode as `nvpmodel -q` says it; None elsewhere."""
    said = said_by(("nvpmodel", "-q"))
    return " ".join(said.split()) if said else None


def load_average() -> tuple[float, ...]:
    """Over 1, 5 and 15 minutes."""
    return tuple(round(v, 2) for v in os.getloadavg())


class Neighbours:
    """How busy other processes kept the cores while a benchmark ran."""

    def __init__(self) -> None:
        """Begin to watch."""
        self._before = self._read()

    def share(self) -> float | None:
        """Share of all cores that others used so far, 0 to 1; None where it cannot be known."""
        (was_s, was_busy, was_own), (now_s, busy, own) = self._before, self._read()
        if busy is None or was_busy is None or now_s == was_s:
            return None
        others = (busy - was_busy) - (own - was_own)
        share = others / ((now_s - was_s) * (os.cpu_count() or 1))
        return round(min(max(0.0, share), 1.0), 3)  # the kernel counts in ticks, the clock does not

    @staticmethod
    def _read() -> tuple[float, float | None, float]:
        """Seconds: now, all cores busy since boot, this process and its ended children."""
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        try:
            words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        except OSError:
            return time.monotonic(), None, own
        user, nice, system, _idle, _waits, *rest = (int(word) for word in words)
        ticks = user + nice + system + sum(rest)
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), own


def without_option(words: Sequence[str], option: str) -> list[str]:
    """What was typed, but for an option that says where to write: it changes no figure."""
    kept = list(words)
    if option in kept:
        at = kept.index(option)
        del kept[at : at + 2]
    return kept


def _memory_mib(root: Path) -> int:
    for line in (text(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def _model(root: Path) -> str:
    dmi = root / "sys/class/dmi/id"
    named = text(root / "proc/device-tree/model") or " ".join(
        word for word in (text(dmi / "sys_vendor"), text(dmi / "product_name")) if word
    )
    return named.strip()
