"""The scripts in a real Debian userland, with the real wheel."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.firmware import chroots
from tests.firmware.chroots import Chroot
from tests.firmware.machines import CONFIG_TXT, POWER_MODES, REPOSITORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="a chroot needs root"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the userland is amd64"),
]
PHOTO = REPOSITORY / "demo" / "photos" / "white-car.jpg"
SCRIPTS = "/srv/edgesam/firmware_scripts"
INSTALL = f"{SCRIPTS}/install.sh --wheel /srv/wheels/edgesam_rt-*.whl --wheels /srv/wheels"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel and its dependencies."""
    return chroots.wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def pi(tmp_path: Path, wheels: Path) -> Chroot:
    """A Raspberry Pi 4 with 1 GiB of memory."""
    board = chroots.make(tmp_path, "Raspberry Pi 4 Model B Rev 1.4", 950_000)
    config = board.root / "boot/firmware/config.txt"
    config.parent.mkdir()
    config.write_text(CONFIG_TXT)
    governor = board.root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("ondemand\n")
    shutil.copytree(wheels, board.root / "srv/wheels")
    return board


@pytest.fixture
def jetson(tmp_path: Path) -> Chroot:
    """A Jetson Orin Nano with JetPack 6."""
    board = chroots.make(tmp_path, "NVIDIA Jetson Orin Nano Developer Kit", 7_600_000)
    (board.root / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.7, GCID: 1\n")
    modes = POWER_MODES + "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    (board.root / "etc/nvpmodel.conf").write_text(modes)
    return board


def test_a_pi_is_prepared_installed_works_and_is_restored(pi: Chroot) -> None:
    before = pi.snapshot()
    planned = pi.run(f"{SCRIPTS}/pi.sh --dry-run && {INSTALL} --dry-run")
    assert planned.returncode == 0, planned.stderr
    assert pi.snapshot() == before
    done = pi.run(f"{SCRIPTS}/pi.sh --camera imx708 --yes && {INSTALL} --yes")
    assert done.returncode == 0, done.stderr
    after, calls = pi.snapshot(), len(pi.calls())
    again = pi.run(f"{SCRIPTS}/pi.sh --camera imx708 --yes && {INSTALL} --yes")
    assert again.stderr.count("Nothing to do.") == 2, again.stderr
    assert pi.snapshot() == after
    assert all("dpkg-query" in call for call in pi.calls()[calls:])
    _segments_as_the_service_user(pi)
    undone = pi.run(f"{SCRIPTS}/uninstall.sh --purge --yes")
    assert undone.returncode == 0, undone.stderr
    left = pi.snapshot()
    assert {n for n in left.keys() | before.keys() if left.get(n) != before.get(n)} == set()


def _segments_as_the_service_user(pi: Chroot) -> None:
    shutil.copy(PHOTO, pi.root / "tmp/photo.jpg")
    job = "/opt/edgesam/venv/bin/edgesam-run /tmp/photo.jpg --board rpi4 --point 345,120"
    ran = pi.run(f"runuser -u edgesam -- {job} --quiet --out masks:/var/lib/edgesam/masks")
    assert ran.returncode == 0, ran.stderr
    (mask,) = (pi.root / "var/lib/edgesam/masks").glob("*.png")
    assert mask.stat().st_uid == (pi.root / "var/lib/edgesam").stat().st_uid != 0


def test_killed_in_the_middle_the_next_run_completes(pi: Chroot) -> None:
    started = subprocess.Popen(
        pi.command(f"{INSTALL} --yes"), stderr=subprocess.DEVNULL, start_new_session=True
    )
    half = pi.root / "opt/edgesam/venv/lib/python3.11/site-packages/numpy"
    deadline = time.monotonic() + 300
    while not half.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert not (pi.root / "opt/edgesam/venv/.edgesam-wheel").exists()
    mended = pi.run(f"{INSTALL} --yes")
    assert mended.returncode == 0, mended.stderr
    assert "install edgesam_rt" in mended.stderr
    _segments_as_the_service_user(pi)


def test_a_jetson_is_prepared_and_restored(jetson: Chroot) -> None:
    before = jetson.snapshot()
    done = jetson.run(f"{SCRIPTS}/jetson.sh --clocks --yes")
    assert done.returncode == 0, done.stderr
    assert {"nvpmodel -m 2", "systemctl start edgesam-clocks.service"} <= set(jetson.calls())
    assert "Nothing to do." in jetson.run(f"{SCRIPTS}/jetson.sh --clocks --yes").stderr
    undone = jetson.run(f"{SCRIPTS}/uninstall.sh --yes")
    assert undone.returncode == 0, undone.stderr
    assert "nvpmodel -m 1" in jetson.calls()
    left = jetson.snapshot()
    assert {n for n in left.keys() | before.keys() if left.get(n) != before.get(n)} == set()


def test_the_wrong_board_changes_nothing(jetson: Chroot) -> None:
    before = jetson.snapshot()
    done = jetson.run(f"{SCRIPTS}/pi.sh --yes")
    assert done.returncode == 3
    assert "this is 'NVIDIA Jetson Orin Nano Developer Kit'. Next: jetson.sh" in done.stderr
    assert jetson.snapshot() == before


def test_without_root_it_says_so(jetson: Chroot) -> None:
    done = jetson.run(f"{SCRIPTS}/jetson.sh --yes", user="nobody")
    assert done.returncode == 3
    assert "needs root. Next: sudo" in done.stderr
