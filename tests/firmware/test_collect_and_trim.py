"""The report that is sent back, and what trimming takes away."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.firmware.machines import SCRIPTS, Machine, snapshot

SECRETS = ("hunter2", "s3cret", "10000000abcdef12", "192.168.7.9", "dc:a6:32:01:02:03")
TOOL = """#!/bin/sh
echo "$(basename "$0") $*"
echo "mqtt://user:hunter2@192.168.7.9:1883 failed"
exit 1
"""


@pytest.fixture
def installed(pi: Machine) -> Machine:
    """A board with an environment, a configuration and things that nobody else should read."""
    commands = pi.root / "opt/edgesam/venv/bin"
    commands.mkdir(parents=True)
    for name in ("edgesam-doctor", "edgesam-bench", "python"):
        (commands / name).write_text(TOOL)
        (commands / name).chmod(0o755)
    for name in ("journalctl", "dmesg", "vcgencmd"):
        path = pi.recorder / "bin" / name
        path.write_text(f"#!/bin/sh\necho '{name}: throttled, uvc dc:a6:32:01:02:03'\n")
        path.chmod(0o755)
    config = pi.root / "etc/edgesam/door.toml"
    config.parent.mkdir(parents=True)
    config.write_text('source = "rtsp://cam:hunter2@192.168.7.9/1"\nmqtt_password = "s3cret"\n')
    (pi.root / "proc/cpuinfo").write_text(
        "Serial\t\t: 10000000abcdef12\nModel\t\t: Raspberry Pi 5\n"
    )
    return pi


def collected(machine: Machine, folder: Path, *words: str) -> dict[str, str]:
    """Run the script; returns the texts in its file."""
    out = folder / "report.tar.gz"
    done = machine.run("collect-report", "--out", str(out), *words)
    assert done.returncode == 0, done.stderr
    with tarfile.open(out) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        files = {m.name.split("/")[-1]: tar.extractfile(m) for m in members}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_a_report_has_all_parts_and_no_secrets(installed: Machine, tmp_path: Path) -> None:
    before = snapshot(installed.root)
    texts = collected(installed, tmp_path)
    assert set(texts) == {
        *("doctor.json", "bench.txt", "packages.txt", "configuration.txt"),
        *("journal.txt", "kernel.txt", "system.txt", "changes.txt"),
    }
    assert not [s for s in SECRETS for text in texts.values() if s in text]
    assert 'source = "rtsp://***@*.*.*.*/1"' in texts["configuration.txt"]
    assert "throttled" in texts["kernel.txt"]
    assert snapshot(installed.root) == before


def test_a_part_that_fails_is_noted_and_the_others_are_there(
    installed: Machine, tmp_path: Path
) -> None:
    texts = collected(installed, tmp_path, "--no-bench")
    assert "edgesam-doctor --board auto --json" in texts["doctor.json"]
    assert "(exit code 1)" in texts["doctor.json"]
    assert "bench.txt" not in texts
    assert "model: Raspberry Pi 5" in texts["system.txt"]


def test_a_dry_run_of_the_report_writes_nothing(installed: Machine, tmp_path: Path) -> None:
    out = tmp_path / "report.tar.gz"
    done = installed.run("collect-report", "--out", str(out), "--dry-run")
    assert done.returncode == 0
    assert "doctor.json: " in done.stderr
    assert not out.exists()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages folder with some of what may go, and some of what must stay."""
    folder = tmp_path / "site-packages"
    for name in (
        "numpy/__init__.py",
        "numpy/__init__.pyi",
        "numpy/_core/tests/test_one.py",
        "numpy/linalg/linalg.py",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "onnxruntime/capi/onnxruntime_pybind11_state.so",
        "onnxruntime/transformers/fusion.py",
        "edgesam_rt/py.typed",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * 50_000)
    return folder


def test_trimming_removes_what_the_list_names_and_nothing_else(pi: Machine, site: Path) -> None:
    done = pi.run("trim", "--site", str(site), "--yes")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime/transformers: 0.1 MB" in done.stderr
    left = {str(p.relative_to(site)) for p in site.rglob("*") if p.is_file()}
    assert left == {
        *("numpy/__init__.py", "numpy/linalg/linalg.py", "edgesam_rt/py.typed"),
        "onnxruntime/capi/onnxruntime_pybind11_state.so",
    }
    assert "Nothing to do." in pi.run("trim", "--site", str(site), "--yes").stderr


def test_a_dry_run_of_trimming_removes_nothing(pi: Machine, site: Path) -> None:
    before = snapshot(site)
    assert "onnxruntime/transformers" in pi.run("trim", "--site", str(site), "--dry-run").stderr
    assert snapshot(site) == before


def test_one_pattern_may_be_taken_alone(pi: Machine, site: Path) -> None:
    pi.run("trim", "--site", str(site), "--only", "onnxruntime/transformers", "--yes")
    assert not (site / "onnxruntime/transformers").exists()
    assert (site / "onnxruntime/capi/libonnxruntime.so.1.31.1").exists()


def test_a_folder_without_onnxruntime_is_refused(pi: Machine, tmp_path: Path) -> None:
    done = pi.run("trim", "--site", str(tmp_path), "--yes")
    assert done.returncode == 3
    assert "is no site-packages folder with onnxruntime. Next: --site DIR" in done.stderr


def test_every_pattern_of_the_list_has_its_reason() -> None:
    lines = (SCRIPTS / "trim.list").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns
    for line in patterns:
        pattern, _, reason = line.partition("#")
        assert reason.strip(), line
        assert not pattern.startswith(("/", ".."))


def test_the_scripts_need_no_tool_that_boards_lack() -> None:
    needed = {"jq", "perl", "curl", "wget"}
    for path in SCRIPTS.rglob("*.sh"):
        code = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        for tool in needed:
            assert not any(f" {tool} " in f" {line} " for line in code), (path, tool)
