"""How much of the processor a control group leaves to this process: `CPUQuota`, `docker --cpus`."""

from __future__ import annotations

from pathlib import Path

from edgesam_rt.system.files import number, text

GROUPS = "sys/fs/cgroup"


def quota_cores(root: Path = Path("/")) -> float | None:
    """Cores that this process may use up on average; None where nothing limits it.

    The smallest of its group's and all groups around it, for groups of version 2 and 1.

    Args:
        root: where /proc and /sys are looked for; tests put a folder of their own here.
    """
    found: list[float] = []
    for line in (text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / GROUPS / controllers
        read = _version_1 if controllers else _version_2
        own = base / group.lstrip("/")
        folders = [own, *own.parents] if own.is_relative_to(base) else []
        limits = (read(folder) for folder in folders if folder.is_relative_to(base))
        found += [cores for cores in limits if cores is not None]
    return min(found, default=None)


def _version_2(folder: Path) -> float | None:
    words = (text(folder / "cpu.max") or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or words[1] == "0":
        return None  # "max 100000"
    return int(words[0]) / int(words[1])


def _version_1(folder: Path) -> float | None:
    quota, period = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None
