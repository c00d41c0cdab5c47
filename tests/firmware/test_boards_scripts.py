"""What each script does on its board, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware import machines
from tests.firmware.machines import CONFIG_TXT, GOVERNOR, Machine

CONFIG = "boot/firmware/config.txt"


def test_pi_adds_one_block_to_config_txt_and_leaves_the_rest(pi: Machine) -> None:
    pi.run("pi", "--camera", "imx219,cam1", "--yes")
    text = (pi.root / CONFIG).read_text()
    assert text.startswith(CONFIG_TXT)
    block = text.removeprefix(CONFIG_TXT).splitlines()
    assert block[0] == "# >>> edgesam: camera >>>"
    assert block[1:-1] == [
        *("[all]", "camera_auto_detect=0", "dtoverlay=imx219,cam1", "dtparam=watchdog=on")
    ]
    assert block[-1] == "# <<< edgesam: camera <<<"


def test_another_camera_replaces_the_block(pi: Machine) -> None:
    pi.run("pi", "--camera", "imx219", "--yes")
    pi.run("pi", "--yes")
    text = (pi.root / CONFIG).read_text()
    assert text.count(">>> edgesam: camera >>>") == 1
    assert "camera_auto_detect=1" in text
    assert "imx219" not in text


def test_what_others_wrote_after_us_survives_uninstalling(pi: Machine) -> None:
    pi.run("pi", "--yes")
    path = pi.root / CONFIG
    path.write_text(path.read_text() + "dtparam=i2c_arm=on\n")
    done = pi.run("uninstall", "--yes")
    assert path.read_text() == CONFIG_TXT + "dtparam=i2c_arm=on\n"
    assert "others changed it since" in done.stderr


def test_a_board_with_enough_memory_gets_no_swap(tmp_path: Path) -> None:
    files = {**machines.PI, "proc/meminfo": machines.MEMORY.format(total=4_000_000, swap=0)}
    board = machines.make(tmp_path, files)
    board.run("pi", "--yes")
    assert not any("swap" in call for call in board.changes())


def test_a_small_board_gets_swap_that_the_system_finds_again(pi: Machine) -> None:
    pi.run("pi", "--yes")
    swap = pi.root / "var/swap.edgesam"
    assert swap.stat().st_mode & 0o777 == 0o600
    assert f"swapon {swap}" in pi.calls()
    assert "/var/swap.edgesam none swap sw 0 0" in (pi.root / "etc/fstab").read_text().splitlines()


def test_the_governor_is_set_and_given_back(pi: Machine) -> None:
    pi.run("pi", "--yes")
    assert (pi.root / GOVERNOR).read_text() == "performance\n"
    pi.run("pi", "--governor", "schedutil", "--yes")
    pi.run("pi", "--undo", "--yes")
    assert (pi.root / GOVERNOR).read_text() == "ondemand\n"


def test_a_file_of_somebody_else_is_not_overwritten(pi: Machine) -> None:
    theirs = pi.root / "etc/tmpfiles.d/edgesam-governor.conf"
    theirs.parent.mkdir()
    theirs.write_text("mine\n")
    done = pi.run("pi", "--yes")
    assert done.returncode == 1
    assert "was not made by these scripts" in done.stderr
    assert theirs.read_text() == "mine\n"


@pytest.mark.parametrize(("script", "next_step"), [("pi", "jetson.sh"), ("jetson", "pi.sh")])
def test_the_wrong_board_is_refused_by_name(
    script: str, next_step: str, pi: Machine, jetson: Machine
) -> None:
    wrong = jetson if script == "pi" else pi
    before = machines.snapshot(wrong.root)
    done = wrong.run(script, "--yes")
    assert done.returncode == 3
    assert "NVIDIA Jetson Orin Nano" in done.stderr or "Raspberry Pi 5" in done.stderr
    assert f"Next: {next_step}" in done.stderr
    assert machines.snapshot(wrong.root) == before


def test_jetpack_4_is_refused_with_the_reason(tmp_path: Path) -> None:
    files = {**machines.JETSON, "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 1\n"}
    done = machines.make(tmp_path, files).run("jetson", "--yes")
    assert done.returncode == 3
    assert "R32 (JetPack 4) has Python 3.6" in done.stderr


def test_jetson_takes_the_fastest_mode_and_gives_the_former_back(jetson: Machine) -> None:
    jetson.run("jetson", "--yes")
    assert "nvpmodel -m 2" in jetson.calls()
    jetson.forget_calls()
    jetson.run("jetson", "--undo", "--yes")
    assert "nvpmodel -m 1" in jetson.calls()


def test_a_power_mode_that_needs_a_restart_is_said_and_asked_for_again(jetson: Machine) -> None:
    done = jetson.run("jetson", "--yes", RECORDER_WANTS_RESTART="yes")
    assert done.returncode == 0
    assert "not in power mode 2 yet; some modes need a restart. Next: sudo nvpmodel" in done.stderr
    assert "1. power mode: MAXN_SUPER" in jetson.run("jetson", "--dry-run").stderr


def test_a_power_mode_that_the_board_lacks_lists_those_it_has(jetson: Machine) -> None:
    done = jetson.run("jetson", "--power-mode", "50W", "--yes")
    assert done.returncode == 2
    assert "no power mode '50W' on this board; it has: 15W 25W MAXN_SUPER" in done.stderr


def test_clocks_are_stored_before_they_are_pinned_and_restored_from_there(jetson: Machine) -> None:
    jetson.run("jetson", "--clocks", "--yes")
    calls = jetson.calls()
    stored = next(i for i, call in enumerate(calls) if call.startswith("jetson_clocks --store"))
    assert stored < calls.index("systemctl start edgesam-clocks.service")
    jetson.forget_calls()
    jetson.run("uninstall", "--yes")
    calls = jetson.calls()
    assert "systemctl disable --quiet --now edgesam-clocks.service" in calls
    assert any(call.startswith("jetson_clocks --restore") for call in calls)


def test_what_a_jetson_lacks_is_said_with_the_next_step(jetson: Machine) -> None:
    (jetson.recorder / "bin" / "gst-inspect-1.0").unlink()
    done = jetson.run("jetson", "--dry-run")
    assert "ok    camera daemon nvargus-daemon" in done.stderr
    assert "lack  GStreamer's nvarguscamerasrc. Next: apt-get install" in done.stderr


def test_the_environment_sees_system_packages_only_where_they_are_needed(
    pi: Machine, wheel: str
) -> None:
    pi.run("install", "--wheel", wheel, "--yes")
    assert not any("--system-site-packages" in call for call in pi.calls())
    pi.run("pi", "--yes")  # installs python3-picamera2
    pi.forget_calls()
    pi.run("install", "--wheel", wheel, "--yes")
    made, filled = (
        next(i for i, call in enumerate(pi.calls()) if words in call)
        for words in ("venv --clear --system-site-packages", "pip install")
    )
    assert made < filled


def test_a_jetson_gets_what_tensorrt_needs_and_a_pi_does_not(
    pi: Machine, jetson: Machine, wheel: str
) -> None:
    for board in (pi, jetson):
        board.run("install", "--wheel", wheel, "--yes")
    assert any(call.endswith(".whl[service,tensorrt]") for call in jetson.calls())
    assert any(call.endswith(".whl[service]") for call in pi.calls())


def test_extras_are_those_that_were_named(pi: Machine, wheel: str) -> None:
    pi.run("install", "--wheel", wheel, "--extras", "litert", "--yes")
    assert any(call.endswith(".whl[litert]") for call in pi.calls())


def test_a_new_wheel_is_installed_over_the_old_one(pi: Machine, wheel: str) -> None:
    pi.run("install", "--wheel", wheel, "--yes")
    Path(wheel).write_bytes(b"another wheel")
    done = pi.run("install", "--wheel", wheel, "--yes")
    assert "1. install edgesam_rt-0.0.0" in done.stderr
    assert "  2. " not in done.stderr


def test_a_board_without_network_takes_packages_from_a_folder(pi: Machine, wheel: str) -> None:
    folder = str(Path(wheel).parent)
    pi.run("install", "--wheel", wheel, "--wheels", folder, "--yes")
    (call,) = [call for call in pi.calls() if "pip install" in call]
    assert f"--no-index --find-links {folder}" in call


def test_a_missing_wheel_is_said_before_anything_is_done(pi: Machine) -> None:
    done = pi.run("install", "--wheel", "/nowhere/edgesam.whl", "--yes")
    assert done.returncode == 3
    assert "--wheel /nowhere/edgesam.whl: no such file" in done.stderr
    assert pi.changes() == []


def test_results_and_configurations_stay_unless_purged(pi: Machine, wheel: str) -> None:
    pi.run("install", "--wheel", wheel, "--yes")
    config = pi.root / "etc/edgesam/door.toml"
    config.write_text('source = "v4l2:/dev/video0"\n')
    kept = pi.run("uninstall", "--yes")
    assert config.exists()
    assert "/etc/edgesam is not empty and stays." in kept.stderr


def test_purge_removes_results_and_configurations(pi: Machine, wheel: str) -> None:
    pi.run("install", "--wheel", wheel, "--yes")
    (pi.root / "etc/edgesam/door.toml").write_text('source = "v4l2:/dev/video0"\n')
    pi.run("uninstall", "--purge", "--yes")
    assert not (pi.root / "etc/edgesam").exists()


def test_packages_are_removed_only_when_asked_for(pi: Machine) -> None:
    (pi.recorder / "packages").write_text("v4l-utils\n")  # was there before
    pi.run("pi", "--yes")
    pi.run("uninstall", "--yes", "--packages")
    removed = {call.split()[-1] for call in pi.calls() if call.startswith("apt-get remove")}
    assert removed == {"python3-venv", "python3-picamera2", "python3-libcamera"}
