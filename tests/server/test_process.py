"""`edgesam-run --http`: a real process, in a terminal and as a service."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgesam_rt.cli.run import main
from tests.cli.workplace import PATIENCE_S, SMALL, end_with, start_process

SOURCE = ("synthetic:?live=1&size=64x48&fps=20", *SMALL)
TOKEN = "correct-horse-battery-staple"


@contextmanager
def running(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the command; yields it and its port when it is ready."""
    said = folder / "said"
    with said.open("w") as stderr:
        process = start_process(*SOURCE, "--http", "127.0.0.1:0", "-v", *words, stderr=stderr)
        try:
            yield process, _port(said, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def _port(said: Path, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", said.read_text())
        if found and _ask(int(found[1]), "/readyz")[0] in (200, 401):
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError(said.read_text())


def _ask(port: int, path: str, *, body: object = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    data = None if body is None else json.dumps(body)
    kind = {"Content-Type": "application/json"} if data else {}
    connection.request("POST" if data else "GET", path, data, {**kind, **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_a_run_in_a_terminal_begins_empty_and_takes_objects(tmp_path: Path) -> None:
    with running(tmp_path, "--mode", "track") as (process, port):
        assert _ask(port, "/api/v1/objects", body={"points": [[30, 20]]})[0] == 201
        process.send_signal(signal.SIGINT)
        ran = end_with(process, 0)
    assert (ran.code, ran.out) == (130, ""), "nothing reads standard output"
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_token_file_locks_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with running(tmp_path, "--mode", "prompt", "--http-token-file", file) as (_, port):
        assert _ask(port, "/healthz")[0] == 401
        assert _ask(port, "/api/v1/mode", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert TOKEN not in (tmp_path / "said").read_text()


def test_a_credential_of_systemd_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "http").write_text(TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    words = [*SOURCE, "--http", "0.0.0.0:0", "--http-token-file", "http", "--check"]
    assert main(words) == 0
    (tmp_path / "http").write_text("short")
    assert main(words) == 2, "it was not read"
    (tmp_path / "http").unlink()
    assert main(words) == 0, "a check outside of the unit has no credentials"
    assert main([*words[:-1], "--mode", "prompt"]) == 2, "a run needs it"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--http", "8080"), 2, "expected ADDRESS:PORT"),
        (("--http", "0.0.0.0:8080"), 2, "so it needs a token"),
        (("--http-token-file", "x"), 2, "http_token_file is given without http"),
        (("--http", "127.0.0.1:0", "--http-token-file", "/nowhere/x"), 2, "/nowhere/x: cannot be"),
        (("--http", "127.0.0.1:0", "--mode", "trak"), 2, "unknown mode 'trak'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    words: tuple[str, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SOURCE, *words, "--check"]) == code
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken_ends_it_before_anything_runs(tmp_path: Path) -> None:
    with running(tmp_path, "--mode", "prompt") as (_, port):
        second = start_process(*SOURCE, "--mode", "prompt", "--http", f"127.0.0.1:{port}")
        _, said = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2
    assert f"cannot listen at 127.0.0.1:{port}" in said


WITHOUT = """
import importlib.util, sys
names = {"starlette", "uvicorn", "prometheus_client"}
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in names else found(name, *a)
from edgesam_rt.cli.run import main
code = main(sys.argv[1:])
used = sorted(name for name in {*names, "edgesam_rt.server.entry"} if name in sys.modules)
print(code, used)
"""


def test_without_the_extra_http_is_refused_with_the_command_that_installs_it() -> None:
    ran = _python(*SOURCE, "--http", "127.0.0.1:0", "--check")
    assert ran.stdout.split() == ["3", "[]"]
    assert "pip install 'edgesam_rt[service]'" in ran.stderr


def test_a_run_without_http_imports_nothing_of_it() -> None:
    words = (*SOURCE, "--point", "30,20", "--max-frames", "2", "--out", "null:", "--quiet")
    assert _python(*words).stdout.split() == ["0", "[]"]


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
