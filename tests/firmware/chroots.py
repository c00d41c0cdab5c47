"""A real Debian userland for the scripts: a chroot of this machine's architecture.

Real there: bash, coreutils, useradd, sed, Python, venv, pip, the wheel. Recorders: what only boards
have, what would reach this machine's kernel (swapon), and apt.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.firmware.machines import MEMORY, RECORDER, REPOSITORY

BASE = REPOSITORY / "out" / "bookworm-amd64"
PACKAGES = "python3,python3-venv,ca-certificates"
RECORDED = (
    *("apt-get", "dpkg-query", "fallocate", "gst-inspect-1.0", "jetson_clocks", "mkswap"),
    *("nvcc", "nvpmodel", "swapoff", "swapon", "systemctl"),
)
SMALL = 262_144  # bytes up to which a file is compared by its content
# Written by every tool that touches users, by design; not part of what scripts promise.
NOT_OURS = ("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock")


@dataclass(frozen=True)
class Chroot:
    """A root folder of its own, on a machine of a kind.

    Attributes:
        root: of the userland.
        model: what /proc/cpuinfo says the board is.
    """

    root: Path
    model: str

    def run(
        self, command: str, *, user: str = "root", limit_s: int = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside; mounts end with it."""
        return subprocess.run(
            self.command(command, user),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
        )

    def command(self, command: str, user: str = "root") -> list[str]:
        """What `run` starts: a mount namespace, then the chroot."""
        script = (
            'root=$1; mount -t proc proc "$root/proc"\n'
            "for name in cpuinfo meminfo; do\n"
            '  mount --bind "$root/run/$name" "$root/proc/$name"\n'
            "done\n"
            "exec env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin RECORDER=/run/recorder "
            'HOME=/root PYTHONDONTWRITEBYTECODE=1 chroot --userspec="$3" "$root" bash -c "$2"'
        )
        start = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", script]
        return [*start, "bash", str(self.root), command, user]

    def calls(self) -> list[str]:
        """What recorders were called with."""
        log = self.root / "run/recorder/log"
        return log.read_text().splitlines() if log.exists() else []

    def snapshot(self) -> dict[str, object]:
        """Every path with mode, owner and content; of large files size and time."""
        return {
            name: _entry(path)
            for path in self.root.rglob("*")
            if (name := str(path.relative_to(self.root))) not in NOT_OURS
            and not name.startswith(("run/", "proc/", "tmp/"))
        }


def _entry(path: Path) -> tuple[object, ...]:
    stat = path.lstat()
    owner = (stat.st_mode, stat.st_uid, stat.st_gid)
    if path.is_symlink():
        return (*owner, str(path.readlink()))
    if not path.is_file():
        return owner
    return (*owner, path.read_bytes() if stat.st_size < SMALL else (stat.st_size, stat.st_mtime_ns))


def base(folder: Path = BASE, packages: str = PACKAGES) -> Path:
    """The userland that tests copy; made once, kept in out/."""
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        # What debootstrap mounts goes with it, so that what is left of a killed one can be removed.
        command = ["unshare", "--mount", "--propagation", "private"]
        command += ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm"]
        subprocess.run([*command, str(part)], check=True, capture_output=True)
        part.rename(folder)
    return folder


def make(folder: Path, model: str, memory_kb: int) -> Chroot:
    """A copy of the base with the scripts, recorders and what a board says of itself."""
    root = folder / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base()), str(root)], check=True)
    (root / "run/recorder").mkdir(parents=True)
    (root / "run/cpuinfo").write_text(f"processor\t: 0\nModel\t\t: {model}\n")
    (root / "run/meminfo").write_text(MEMORY.format(total=memory_kb, swap=0))
    for name in RECORDED:
        shutil.copy(RECORDER, root / "usr/local/sbin" / name)
    shutil.copytree(REPOSITORY / "firmware_scripts", root / "srv/edgesam/firmware_scripts")
    shutil.copytree(REPOSITORY / "systemd", root / "srv/edgesam/systemd")
    return Chroot(root, model)


def wheels(folder: Path) -> Path:
    """A folder with our wheel and all it needs, for a board without network."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    wanted = f"{wheel}[service]"
    load = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), wanted]
    load += ["--only-binary=:all:", "--python-version", "3.11"]
    for glibc in ("_2_34", "_2_28", "_2_27", "2014"):
        load += ["--platform", f"manylinux{glibc}_x86_64"]
    subprocess.run(load, check=True, capture_output=True)
    return folder
