"""The arm64 userland: brought up by `userland.sh`, entered by `enter.sh`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgesam_rt.errors import EdgeSamError

HERE = Path(__file__).resolve().parent
PYTHON = "3.11"  # of Debian bookworm
EXCHANGE = "opt/proof"


class ArmError(EdgeSamError):
    """Something of the proof did not work; the message says what and where to read on."""


@dataclass(frozen=True)
class Userland:
    """A Debian root folder for arm64, kept between runs.

    Attributes:
        folder: holds `rootfs` and logs.
    """

    folder: Path

    @property
    def root(self) -> Path:
        """Of its files."""
        return self.folder / "rootfs"

    @property
    def exchange(self) -> Path:
        """Where files go in and come out; "/opt/proof" inside."""
        return self.root / EXCHANGE

    def bring_up(self) -> None:
        """Make it unless it is there.

        Raises:
            ArmError: it cannot be made here; the script has said why.
        """
        done = subprocess.run([str(HERE / "userland.sh"), str(self.folder)], check=False)
        if done.returncode:
            raise ArmError(f"{self.folder}: the arm64 userland could not be brought up, see above.")
        self.exchange.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path) -> str:
        """Copy a file in; returns its path inside."""
        shutil.copy(path, self.exchange / path.name)
        return f"/{EXCHANGE}/{path.name}"

    def run(self, cpu: str, site: str, words: list[str], log: Path | None = None) -> str:
        """Run Python inside, on a processor, with the packages of a folder; returns its stdout.

        Args:
            cpu: a file of `cpus/`, "cortex-a76".
            site: name of a folder of packages, see `site.py`.
            words: what follows `python3`.
            log: where QEMU writes the code that it translates, in the userland; None: nowhere.

        Raises:
            ArmError: it failed; the message ends with its last words.
        """
        environment = dict(os.environ)
        if log is not None:
            inside = f"/{log.relative_to(self.root)}"
            environment |= {"QEMU_LOG": "in_asm", "QEMU_LOG_FILENAME": inside}
        python = ["/usr/bin/env", f"PYTHONPATH=/opt/{site}", "/usr/bin/python3"]
        command = [str(HERE / "enter.sh"), str(self.root), cpu, *python, *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            said = "\n".join(done.stderr.splitlines()[-8:])
            raise ArmError(f"{' '.join(words)} on {cpu}: exit code {done.returncode}.\n{said}")
        return done.stdout
