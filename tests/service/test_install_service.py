"""install_service.sh: a plan first, what the source needs, nothing twice, and a way back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.firmware import machines
from tests.firmware.machines import Machine, snapshot

SCRIPT = "install_service"
RUNTIME = "opt/edgesam/venv/bin/edgesam-run"
UNIT_FOLDER = "etc/systemd/system/edgesam@cam.service.d"


@pytest.fixture
def board(tmp_path: Path) -> Machine:
    """A Raspberry Pi on which install.sh has been."""
    return with_runtime(machines.make(tmp_path / "pi", machines.PI))


def with_runtime(machine: Machine) -> Machine:
    runtime = machine.root / RUNTIME
    runtime.parent.mkdir(parents=True)
    shutil.copy(machines.RECORDER, runtime)
    (machine.root / "etc/edgesam").mkdir()
    (machine.root / "var/lib").mkdir(parents=True)
    return machine


def config(folder: Path, source: str = "v4l2:/dev/video0") -> str:
    path = folder / "cam.toml"
    path.write_text(f'source = "{source}"\n')
    return str(path)


def test_a_dry_run_prints_the_plan_and_changes_nothing(board: Machine, tmp_path: Path) -> None:
    before = snapshot(board.root)
    done = board.run(SCRIPT, "cam", "--config", config(tmp_path), "--start", "--dry-run")
    assert done.returncode == 0, done.stderr
    for line in ("1. configuration /etc/edgesam/cam.toml", "2. /etc/systemd", "3. edgesam@cam"):
        assert f"  {line}" in done.stderr
    assert snapshot(board.root) == before


def test_it_writes_checks_enables_and_starts(board: Machine, tmp_path: Path) -> None:
    done = board.run(SCRIPT, "cam", "--config", config(tmp_path), "--start", "--yes")
    assert done.returncode == 0, done.stderr
    assert (board.root / "etc/edgesam/cam.toml").read_text() == 'source = "v4l2:/dev/video0"\n'
    assert (board.root / UNIT_FOLDER / "camera.conf").exists()
    calls = board.calls()
    unit = "edgesam@cam.service"
    wanted = [
        f"edgesam-run --config {tmp_path}/cam.toml --check",
        "systemctl daemon-reload",
        f"systemctl enable --quiet {unit}",
        f"systemctl restart {unit}",
    ]
    assert [call for call in calls if call in wanted] == wanted


def test_a_second_run_finds_nothing_to_do(board: Machine, tmp_path: Path) -> None:
    words = (SCRIPT, "cam", "--config", config(tmp_path), "--start", "--yes")
    board.run(*words)
    before = snapshot(board.root)
    assert "Nothing to do." in board.run(*words).stderr
    assert snapshot(board.root) == before


def test_another_configuration_restarts_it(board: Machine, tmp_path: Path) -> None:
    words = (SCRIPT, "cam", "--config", config(tmp_path), "--start", "--yes")
    board.run(*words)
    board.forget_calls()
    config(tmp_path, "v4l2:/dev/video2")
    assert board.run(*words).returncode == 0
    assert "systemctl restart edgesam@cam.service" in board.calls()


@pytest.mark.parametrize(
    ("source", "drop_ins"),
    [
        ("v4l2:/dev/video0", ["camera"]),
        ("picamera:0?wait=1", ["camera"]),
        ("/dev/video1", ["camera"]),
        ("rtsp://192.0.2.7/stream", []),
        ("synthetic:?live=1", []),
    ],
)
def test_a_source_gets_the_devices_that_it_needs(
    source: str, drop_ins: list[str], board: Machine, tmp_path: Path
) -> None:
    board.run(SCRIPT, "cam", "--config", config(tmp_path, source), "--yes")
    found = sorted(path.stem for path in (board.root / UNIT_FOLDER).glob("*.conf"))
    assert found == drop_ins


def test_a_jetson_gets_what_cuda_needs(tmp_path: Path) -> None:
    jetson = with_runtime(machines.make(tmp_path / "jetson", machines.JETSON))
    jetson.run(SCRIPT, "cam", "--config", config(tmp_path, "csi:0"), "--yes")
    assert {path.stem for path in (jetson.root / UNIT_FOLDER).glob("*")} == {"camera", "jetson"}


def test_undone_it_is_as_before_but_for_the_configuration(board: Machine, tmp_path: Path) -> None:
    before = snapshot(board.root)
    board.run(SCRIPT, "cam", "--config", config(tmp_path), "--start", "--yes")
    undone = board.run(SCRIPT, "cam", "--undo", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert "systemctl disable --quiet --now edgesam@cam.service" in board.calls()
    left = snapshot(board.root)
    assert set(left.keys() ^ before.keys()) == {"etc/edgesam/cam.toml"}
    board.run(SCRIPT, "cam", "--undo", "--purge", "--yes")
    assert snapshot(board.root) == before


def test_uninstall_takes_the_services_too(board: Machine, tmp_path: Path) -> None:
    before = snapshot(board.root)
    for name in ("cam", "door"):
        board.run(SCRIPT, name, "--config", config(tmp_path), "--start", "--yes")
    undone = board.run("uninstall", "--yes")
    assert undone.returncode == 0, undone.stderr
    for name in ("cam", "door"):
        assert f"systemctl disable --quiet --now edgesam@{name}.service" in board.calls()
    kept = {"etc/edgesam/cam.toml", "etc/edgesam/door.toml"}
    assert set(snapshot(board.root).keys() ^ before.keys()) == kept


def test_undoing_one_leaves_the_other(board: Machine, tmp_path: Path) -> None:
    for name in ("cam", "door"):
        board.run(SCRIPT, name, "--config", config(tmp_path), "--start", "--yes")
    board.run(SCRIPT, "door", "--undo", "--yes")
    assert (board.root / UNIT_FOLDER / "camera.conf").exists()
    assert not (board.root / UNIT_FOLDER.replace("cam", "door", 1)).exists()


def test_a_configuration_that_is_wrong_changes_nothing(board: Machine, tmp_path: Path) -> None:
    before = snapshot(board.root)
    words = (SCRIPT, "cam", "--config", config(tmp_path), "--yes")
    done = board.run(*words, RECORDER_FAIL="edgesam-run*")
    assert done.returncode == 2
    assert "is not right" in done.stderr
    assert snapshot(board.root) == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "NAME is missing"),
        (("a", "b"), 2, "one NAME, got 'a' and 'b'"),
        (("../x",), 2, "NAME is letters, digits, - and _"),
        (("cam",), 3, "/etc/edgesam/cam.toml: no such file. Next: --config FILE"),
        (("cam", "--config", "none.toml"), 3, "--config none.toml: no such file"),
        (("cam", "--config"), 2, "--config needs a value"),
        (("cam", "--colour"), 2, "unknown option --colour"),
    ],
)
def test_wrong_usage_is_said(words: tuple[str, ...], code: int, told: str, board: Machine) -> None:
    done = board.run(SCRIPT, "--yes", *words)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_without_the_runtime_it_says_so(tmp_path: Path) -> None:
    bare = machines.make(tmp_path / "pi", machines.PI)
    done = bare.run(SCRIPT, "cam", "--config", config(tmp_path), "--yes")
    assert done.returncode == 3
    assert "edgesam-run is missing. Next: install.sh, or --wheel FILE." in done.stderr
