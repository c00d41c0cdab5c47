"""Where a benchmark of the repository ran: the runtime's own description, flat, and the commit."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

from edgesam_rt.bench import environment
from edgesam_rt.boards import usable_cores
from edgesam_rt.system import sensors

REPOSITORY = Path(__file__).resolve().parent.parent


def collect(root: Path = Path("/")) -> dict[str, object]:
    """Describe this machine at this moment; plain data for JSON.

    Args:
        root: where /proc and /sys are looked for; tests put a folder of their own here.
    """
    machine, software = environment.machine(root), environment.software(root)
    governors = sensors.governors(root)
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "machine": machine.arch,
        "system": software["system"],
        "board": machine.board,
        "cpu": machine.cpu,
        "cpu_flags": list(machine.cpu_flags),
        "cores_usable": usable_cores(),
        "governor": next(iter(governors.values()), None),
        "load_average": list(environment.load_average()),
        "python": software["python"],
        **{name: software.get(name) for name in environment.PACKAGES},
    }


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
