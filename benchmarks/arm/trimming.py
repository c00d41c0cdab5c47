"""The base install on arm64: what is large, what can go, and whether the job still runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.arm import compare, sizes
from benchmarks.arm.board_runs import JOB, Bench
from benchmarks.arm.userland import ArmError
from benchmarks.environment import REPOSITORY

SCRIPT = REPOSITORY / "firmware_scripts" / "trim.sh"
BASE = "base"
JOBS = {
    "prompt": JOB,
    "everything": ("--mode", "everything", "--strategy", "objects"),
}
BOARD = "rpi5"


def measure(bench: Bench, site: str, backend: str) -> dict[str, Any]:
    """Sizes of a folder of packages before and after trimming, and whether the same masks come out.

    Args:
        bench: where.
        site: the folder's name.
        backend: that it is for.
    """
    whole, trimmed = (bench.userland.root / "opt" / name for name in (site, f"{site}-trimmed"))
    shutil.rmtree(trimmed, ignore_errors=True)
    shutil.copytree(whole, trimmed, symlinks=True)
    removed = _trim(trimmed)
    jobs = {
        name: _same_masks(bench, site, name, (*words, "--backend", backend))
        for name, words in JOBS.items()
    }
    found = {
        "packages": sizes.packages(whole),
        "bytes": sizes.total(whole),
        "trimmed_bytes": sizes.total(trimmed),
        "removed": removed,
        "jobs": jobs,
    }
    shutil.rmtree(trimmed)
    return found


def _trim(site: Path) -> list[dict[str, Any]]:
    """Run the script on a folder; what went, pattern by pattern, in bytes."""
    before = sizes.total(site)
    rows = []
    for line in _patterns():
        done = subprocess.run(
            ["bash", str(SCRIPT), "--site", str(site), "--only", line, "--yes"],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ArmError(f"{SCRIPT.name}: exit code {done.returncode}.\n{done.stderr[-800:]}")
        after = sizes.total(site)
        rows.append({"pattern": line, "bytes": before - after})
        before = after
    return sorted(rows, key=lambda row: -int(str(row["bytes"])))


def _patterns() -> list[str]:
    lines = SCRIPT.with_suffix(".list").read_text(encoding="utf-8").splitlines()
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def _same_masks(bench: Bench, site: str, name: str, words: tuple[str, ...]) -> compare.Masks:
    whole = bench.job(site, BOARD, words, f"{name}-whole")
    return compare.masks(whole, bench.job(f"{site}-trimmed", BOARD, words, f"{name}-trimmed"))
