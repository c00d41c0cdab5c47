from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks.jsonl import JsonlSink
from tests.result_doubles import make_result

ROOT = Path(__file__).parents[3]
WRITER = """
import resource, sys
from edgesam_rt.errors import EdgeSamError
from edgesam_rt.sinks.jsonl import JsonlSink
from tests.result_doubles import make_result
target, lines, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if most:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    sink = JsonlSink(target)
    for i in range(lines):
        sink.write(make_result(i))
    sink.close()
except EdgeSamError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def run(
    target: str, lines: int, *, most: int = 0, after: str = ""
) -> subprocess.CompletedProcess[str]:
    """Write lines in a process of its own; `after` is what a shell does with its output."""
    command = [sys.executable, "-W", "error", "-c", WRITER, target, str(lines), str(most)]
    if after:
        command = ["bash", "-c", f'set -o pipefail; "$@" {after}', "-", *command]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_line_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(str(path))
    for i in range(3):
        sink.write(make_result(i))
        lines = path.read_text().splitlines()
        assert [json.loads(line)["frame_id"] for line in lines] == list(range(i + 1))
    sink.close()


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n" * 1000)
    sink = JsonlSink(str(path), with_rle=False)
    sink.write(make_result())
    sink.close()
    assert len(path.read_text().splitlines()) == 1
    assert "counts" not in path.read_text()


def test_standard_output_gets_the_lines_and_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    sink = JsonlSink("-")
    sink.write(make_result(0))
    sink.write(make_result(1))
    sink.close()
    sys.stdout.write("still open\n")
    *lines, last = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == [0, 1]
    assert last == "still open"


def test_standard_output_without_a_descriptor_works(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    sink = JsonlSink("-")
    sink.write(make_result())
    sink.close()
    assert json.loads(notebook.getvalue())["frame_id"] == 0


def test_a_reader_that_leaves_is_told_apart_from_a_failure() -> None:
    done = run("-", 400, after="| head -n 1")
    assert done.stderr.startswith("ConsumerGone: jsonl:-")
    assert json.loads(done.stdout)["frame_id"] == 0


def test_a_full_device_is_a_sink_error() -> None:
    sink = JsonlSink("/dev/full")
    with pytest.raises(SinkError, match=r"/dev/full: No space left on device\. Free some space"):
        sink.write(make_result())
    sink.close()


def test_a_full_disk_below_standard_output_is_one_clear_line() -> None:
    done = run("-", 5, after="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("SinkError: jsonl:-: cannot write standard output: No space left")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_at_its_size_limit_ends_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    done = run(str(path), 100, most=5000)
    assert done.returncode == 1
    lines = path.read_text().splitlines(keepends=True)
    assert 3 < len(lines) < 100
    assert all(line.endswith("\n") and json.loads(line) for line in lines)
    assert f"The {len(lines)} lines before are intact. Free some space" in done.stderr


def test_a_folder_or_a_path_below_a_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder\. Name a file"):
        JsonlSink(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file should be a folder, but .*file is a file"):
        JsonlSink(str(tmp_path / "file" / "out.jsonl"))
    with pytest.raises(ConfigError, match=r"file/b should be a folder, but .*file is a file"):
        JsonlSink(str(tmp_path / "file" / "b" / "out.jsonl"))


def test_a_place_that_cannot_be_written_is_a_sink_error() -> None:
    with pytest.raises(SinkError, match=r"jsonl:/proc/nowhere/out\.jsonl: cannot write"):
        JsonlSink("/proc/nowhere/out.jsonl")
