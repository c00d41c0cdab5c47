"""`edgesam-run` as systemd would start it: a real process, a real socket, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.workplace import PATIENCE_S, end_with, rows_in, start_process, wait_for_lines
from tests.service.listening import Listening

CONFIG = """\
source = "synthetic:?live=1&size=64x48&fps=20{more}"
encoder_side = 384
threads = 1
out = ["jsonl:{folder}/results.jsonl"]
[[object]]
points = [[30, 20]]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cam.toml"
    path.write_text(CONFIG.format(folder=tmp_path, more=""))
    return path


@pytest.fixture
def service(
    config: Path, systemd: Listening, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[str]]:
    """The command, started with systemd's variables."""
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    process = start_process("--config", config, "--verbose")
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def hear(systemd: Listening, key: str) -> dict[str, str]:
    """The next datagram that has this field."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for fields in systemd.heard(timeout_s=1.0):
            if key in fields:
                return fields
    raise AssertionError(f"{key} never came")


def test_it_is_ready_with_a_result_is_fed_reloads_and_says_that_it_stops(
    service: subprocess.Popen[str], systemd: Listening, config: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "results.jsonl"
    before = sum("READY" in fields for fields in systemd.heard())
    assert (before, lines.exists()) == (0, False)
    hear(systemd, "READY")
    wait_for_lines(lines, 1, service)
    assert hear(systemd, "WATCHDOG") == {"WATCHDOG": "1"}
    with config.open("a") as file:
        file.write("[[object]]\nbox = [4, 4, 40, 40]\n")
    service.send_signal(signal.SIGHUP)
    asked = hear(systemd, "RELOADING")
    assert 0 < int(asked["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    hear(systemd, "READY")
    wait_for_lines(lines, len(rows_in(lines)) + 2, service)
    service.send_signal(signal.SIGTERM)
    assert hear(systemd, "STOPPING")["STATUS"] == "stopping"
    ran = end_with(service, 0)
    assert ran.code == 143, ran.err
    assert "reload: changed: object" in ran.err
    assert len(rows_in(lines)[-1]["objects"]) == 2


def test_a_hangup_before_the_first_result_does_not_make_it_ready(
    systemd: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = CONFIG.format(folder=tmp_path, more="&silent_after=1").replace("fps=20", "fps=1")
    config = tmp_path / "cam.toml"
    config.write_text(slow)
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    process = start_process("--config", config)
    hear(systemd, "STATUS")  # it runs, and waits for its first frame
    process.send_signal(signal.SIGHUP)
    first = hear(systemd, "READY")
    assert "RELOADING" not in first
    assert first == {"READY": "1", "WATCHDOG": "1"}
    end_with(process, signal.SIGTERM)


def test_without_outputs_a_service_writes_nothing_to_the_journal(
    config: Path, systemd: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    text = config.read_text()
    config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("out")))
    process = start_process("--config", config, "--max-frames", "3", "--quiet")
    assert process.communicate(timeout=PATIENCE_S) == ("", "")


def test_in_the_journal_every_line_has_its_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "journal"
    wrong = tmp_path / "cam.toml"
    wrong.write_text("sorce = 1\n")
    quiet = {"stdout": subprocess.DEVNULL}
    with log.open("w") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        assert start_process("--config", wrong, stderr=stream, **quiet).wait(PATIENCE_S) == 2
        run = ("synthetic:?size=64x48&frames=2", "--point", "30,20", "--verbose", "--out", "null:")
        assert start_process(*run, stderr=stream, **quiet).wait(PATIENCE_S) == 0
    said = log.read_text().splitlines()
    assert said[0].startswith(f"<3>error: {wrong}: unknown key 'sorce'.")
    assert said[1].startswith("<6>edgesam_rt ")
