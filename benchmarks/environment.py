"""Where a benchmark ran: without this, its figures mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgesam_rt.boards import detect, usable_cores

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime")
# What integer and float kernels choose by, as the Linux kernel spells it on x86 and on Arm.
FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_tile"),
    *("asimd", "asimddp", "i8mm", "sve"),
)


def collect() -> dict[str, object]:
    """Describe this machine at this moment; plain data for JSON."""
    cpu = _cpuinfo()
    known = set(cpu.get("flags", cpu.get("Features", "")).split())
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "board": detect(),
        "cpu": cpu.get("model name", cpu.get("Model", platform.processor() or "unknown")),
        "cpu_flags": [flag for flag in FLAGS if flag in known],
        "cores_usable": usable_cores(),
        "governor": governor(),
        "load_average": [round(v, 2) for v in os.getloadavg()],
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


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
        return round(max(0.0, others) / ((now_s - was_s) * (os.cpu_count() or 1)), 3)

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


def governor(root: Path = Path("/sys/devices/system/cpu")) -> str | None:
    """The first core's frequency governor, or None where it cannot be read (virtual machines)."""
    try:
        return (root / "cpu0" / "cpufreq" / "scaling_governor").read_text().strip()
    except OSError:
        return None


def git_commit() -> str | None:
    """The repository's commit, with "-dirty" if files differ from it; None outside of git."""

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", *words]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # What benchmarks write must not make the next one "dirty".
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpuinfo() -> dict[str, str]:
    """The last value of every key of /proc/cpuinfo; empty where there is none."""
    if not sys.platform.startswith("linux"):
        return {}
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
