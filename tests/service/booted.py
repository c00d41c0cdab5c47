"""A Debian userland booted with systemd as PID 1, in a container without network."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.firmware import chroots
from tests.firmware.machines import REPOSITORY

BASE = REPOSITORY / "out" / "bookworm-systemd"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
INSTALL = "/srv/edgesam/firmware_scripts/install_service.sh"
RUNTIME = "--wheel /srv/wheels/edgesam_rt-*.whl --wheels /srv/wheels --no-engines"
BOOT_S, PATIENCE_S = 60.0, 120.0
CLEAN = "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root"


@dataclass(frozen=True)
class Booted:
    """A running machine.

    Attributes:
        root: its root folder, as seen from here.
        leader: its PID 1, as seen from here.
    """

    root: Path
    leader: int

    def run(self, command: str, limit_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside, as root."""
        enter = ["nsenter", "--target", str(self.leader), "--all", *CLEAN.split()]
        return subprocess.run(
            [*enter, "bash", "-c", command], capture_output=True, text=True, timeout=limit_s
        )

    def must(self, command: str, limit_s: float = 300) -> str:
        """Run one that has to go well; returns what it printed."""
        done = self.run(command, limit_s)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Put a file there."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@dataclass(frozen=True)
class Instance:
    """One service of a machine: edgesam@NAME."""

    machine: Booted
    name: str

    @property
    def unit(self) -> str:
        return f"edgesam@{self.name}.service"

    @property
    def results(self) -> Path:
        """Where its results go, as seen from here."""
        return self.machine.root / "var/lib/edgesam" / self.name / "results.jsonl"

    def show(self, key: str) -> str:
        """A property of the unit."""
        return self.machine.must(f"systemctl show --value --property={key} {self.unit}")

    def ask(self, verb: str) -> None:
        """`systemctl VERB` on the unit; it has to go well."""
        done = self.machine.run(f"systemctl {verb} {self.unit}")
        assert done.returncode == 0, f"{verb}: {done.stderr}\n{self.journal()}"

    def journal(self, options: str = "") -> str:
        """What it said, and what systemd said of it."""
        return self.machine.must(f"journalctl --no-pager --output=cat --unit={self.unit} {options}")

    def rows(self) -> list[dict[str, Any]]:
        """Its results so far; a line that is just being written is left out."""
        lines = self.results.read_text().split("\n")[:-1] if self.results.exists() else []
        return [json.loads(line) for line in lines]

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds; a time-out shows the journal."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"never: {what}\n{self.journal()}"
            time.sleep(0.2)


@contextmanager
def booted(folder: Path, wheels: Path) -> Iterator[Booted]:
    """Boot a copy of the userland with the scripts, units and wheels in /srv."""
    root = folder / "root"
    base = chroots.base(BASE, PACKAGES)
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
    (root / "var/log/journal").mkdir(exist_ok=True)
    for name in ("firmware_scripts", "systemd"):
        shutil.copytree(REPOSITORY / name, root / "srv/edgesam" / name)
    shutil.copytree(wheels, root / "srv/wheels")
    command = ["systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit"]
    command += ["--private-network", f"--machine=edgesam-{folder.name}", "-D", str(root)]
    with (folder / "console").open("w") as console:
        nspawn = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
        )
        try:
            machine = Booted(root, _leader(nspawn))
            _wait_until_up(machine)
            yield machine
        finally:
            nspawn.terminate()
            nspawn.wait(BOOT_S)


def _leader(nspawn: subprocess.Popen[bytes]) -> int:
    """PID 1 of the container: the only child of nspawn that is in another PID namespace."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and nspawn.poll() is None:
        for pid in children.read_text().split():
            if _names_itself(Path(f"/proc/{pid}")) == "systemd":
                return int(pid)
        time.sleep(0.1)
    raise AssertionError("the container did not start; see its console")


def _names_itself(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:  # it has just ended
        return ""


def _wait_until_up(machine: Booted) -> None:
    deadline = time.monotonic() + BOOT_S
    while machine.run("systemctl is-system-running").stdout.strip() not in ("running", "degraded"):
        assert time.monotonic() < deadline, "the container did not boot"
        time.sleep(0.3)
