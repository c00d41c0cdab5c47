"""Small machines for the scripts: a folder as root, recorders for what changes a system."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "firmware_scripts"
RECORDER = Path(__file__).parent / "commands" / "recorder"
COMMANDS = (
    *("apt-get", "chown", "dpkg-query", "fallocate", "gpasswd", "gst-inspect-1.0"),
    *("jetson_clocks", "mkswap", "nvcc", "nvpmodel", "python3", "runuser", "swapoff"),
    *("swapon", "systemctl", "useradd", "userdel", "usermod"),
)
GOVERNOR = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"

COMMON = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "etc/group": "root:x:0:\nvideo:x:44:\ngpio:x:993:\n",
    "etc/fstab": "PARTUUID=1-02  /  ext4  defaults,noatime  0  1",  # no newline at its end
}
MEMORY = "MemTotal:  {total} kB\nSwapTotal: {swap} kB\n"
CONFIG_TXT = "# For more options see the documentation\ndtparam=audio=on\n[all]\nenable_uart=1\n"
POWER_MODES = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n"

PI = {
    **COMMON,
    "boot/firmware/config.txt": CONFIG_TXT,
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": MEMORY.format(total=1_000_000, swap=0),
    GOVERNOR: "ondemand\n",
}
JETSON = {
    **COMMON,
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic\n",
    "etc/nvpmodel.conf": POWER_MODES + "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/meminfo": MEMORY.format(total=7_600_000, swap=0),
}


@dataclass(frozen=True)
class Machine:
    """A root folder, and what was called there."""

    root: Path
    recorder: Path

    def run(self, script: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts there; `more` are environment variables."""
        environment = {
            "PATH": os.environ["PATH"],
            "EDGESAM_ROOT": str(self.root),
            "EDGESAM_COMMANDS": str(self.recorder / "bin"),
            "RECORDER": str(self.recorder),
            **more,
        }
        command = ["bash", str(SCRIPTS / f"{script}.sh"), *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def calls(self) -> list[str]:
        """What was called so far, in order."""
        log = self.recorder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def changes(self) -> list[str]:
        """The calls that change a system; questions left out."""
        questions = ("dpkg-query", "is-", "nvpmodel -q", "gst-inspect", "-c import", "--check")
        return [call for call in self.calls() if not any(q in call for q in questions)]

    def forget_calls(self) -> None:
        """Begin to count anew."""
        (self.recorder / "log").unlink(missing_ok=True)


def make(folder: Path, files: Mapping[str, str]) -> Machine:
    """A machine with these files; paths are relative to its root."""
    machine = Machine(folder / "root", folder / "recorder")
    for name, text in files.items():
        path = machine.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    commands = machine.recorder / "bin"
    commands.mkdir(parents=True)
    for name in COMMANDS:
        shutil.copy(RECORDER, commands / name)
    return machine


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a root with its mode and content (folders: none)."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, _content(path)) for path in _below(root)
    }


def _below(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")))


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return str(path.readlink()).encode()
    return path.read_bytes() if path.is_file() else b""
