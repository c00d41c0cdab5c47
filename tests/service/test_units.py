"""The unit and its drop-ins, as far as systemd can judge them without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
MOST_EXPOSED = 25  # tenths: 2.5
DROP_INS = sorted(path.stem for path in (SYSTEMD / "drop-ins").glob("*.conf"))
COMMANDS = ("/opt/edgesam/venv/bin/edgesam-run", "/bin/sh")
TARGETS = ("sysinit", "basic", "shutdown", "multi-user", "network-online")

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def installed(root: Path, *drop_ins: str) -> Path:
    """A root folder with the unit as an instance; returns the instance's file."""
    folder = root / "etc/systemd/system"
    (folder / "edgesam@cam.service.d").mkdir(parents=True)
    for name in drop_ins:
        shutil.copy(SYSTEMD / "drop-ins" / f"{name}.conf", folder / "edgesam@cam.service.d")
    for command in COMMANDS:
        place = root / command.lstrip("/")
        place.parent.mkdir(parents=True)
        place.write_text("#!/bin/sh\n")
        place.chmod(0o755)
    for name in TARGETS:
        (folder / f"{name}.target").write_text("[Unit]\n")
    return Path(shutil.copy(SYSTEMD / "edgesam@.service", folder / "edgesam@cam.service"))


@needs_analyze
@pytest.mark.parametrize("drop_ins", [(), *((name,) for name in DROP_INS), tuple(DROP_INS)])
def test_systemd_finds_nothing_to_say(drop_ins: tuple[str, ...], tmp_path: Path) -> None:
    unit = installed(tmp_path, *drop_ins)
    command = ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", unit.name]
    done = subprocess.run(command, capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "edgesam" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@needs_analyze
def test_an_unknown_key_would_be_found(tmp_path: Path) -> None:
    unit = installed(tmp_path)
    unit.write_text(unit.read_text().replace("UMask=", "UMsk="))
    command = ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", unit.name]
    assert "UMsk" in subprocess.run(command, capture_output=True, text=True).stderr


@needs_analyze
@pytest.mark.parametrize("drop_ins", [(), *((name,) for name in DROP_INS)])
def test_it_is_exposed_no_more_than_stated(drop_ins: tuple[str, ...], tmp_path: Path) -> None:
    unit = installed(tmp_path, *drop_ins)
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    command += [f"--threshold={MOST_EXPOSED}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("path", [SYSTEMD / "edgesam@.service", *SYSTEMD.rglob("drop-ins/*")])
def test_every_group_of_settings_begins_with_a_reason(path: Path) -> None:
    above, bare = "", []
    for line in path.read_text().splitlines():
        begins_a_group = not above or above.startswith("[")
        if begins_a_group and "=" in line and not line.startswith("#"):
            bare.append(line)
        above = line
    assert [line for line in bare if not line.startswith(("Description=", "WantedBy="))] == []


@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed"
)
def test_the_user_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    users = SYSTEMD / "sysusers.d/edgesam.conf"
    command = ["systemd-sysusers", f"--root={tmp_path}", str(users)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"(?m)^edgesam:.*:/var/lib/edgesam:/usr/sbin/nologin$",
        (tmp_path / "etc/passwd").read_text(),
    )
