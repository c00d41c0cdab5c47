"""`jsonl:` across restarts: what was there stays, is whole, and does not grow for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.line_file import LineFile
from tests.result_doubles import make_result

ROOT = Path(__file__).parents[3]


def write(text: str, *frame_ids: int, resumes: bool = False) -> None:
    sink = open_sink(parse_sink(text), RunInfo(resumes=resumes))
    for frame_id in frame_ids:
        sink.write(make_result(frame_id))
    sink.close()


def ids(path: Path) -> list[int]:
    return [json.loads(line)["frame_id"] for line in path.read_text().splitlines()]


def test_a_service_goes_on_where_it_ended_and_a_command_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(f"jsonl:{path}", 0, 1, resumes=True)
    write(f"jsonl:{path}", 2, resumes=True)
    assert ids(path) == [0, 1, 2]
    write(f"jsonl:{path}", 3)
    assert ids(path) == [3]


def test_both_may_be_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(f"jsonl:{path}?append=1", 0)
    write(f"jsonl:{path}?append=1", 1)
    assert ids(path) == [0, 1]
    write(f"jsonl:{path}?append=0", 2, resumes=True)
    assert ids(path) == [2]


@pytest.mark.parametrize("torn", ['{"schema":1,"frame_id":2,"na', "{", "\0" * 300_000])
def test_a_line_that_was_cut_off_is_taken_out(
    torn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.jsonl"
    write(f"jsonl:{path}", 0, 1)
    with path.open("a") as file:
        file.write(torn)
    write(f"jsonl:{path}?append=1", 2)
    assert ids(path) == [0, 1, 2]
    assert f"cut off in a line: {len(torn)} bytes taken out" in caplog.text


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"frame_id":0}\n{"frame_id":1}')
    write(f"jsonl:{path}?append=1", 2)
    assert ids(path) == [0, 1, 2]


def test_a_file_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("{" + "x" * 200_000)
    write(f"jsonl:{path}?append=1")
    assert path.read_bytes() == b""


def test_kills_at_any_moment_leave_whole_lines_behind(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    code = (
        "import sys\nfrom edgesam_rt.sinks.jsonl import JsonlSink\n"
        "from tests.result_doubles import make_result\n"
        "sink = JsonlSink(sys.argv[1], append=True)\nresult = make_result(7)\n"
        "while True:\n    sink.write(result)\n    print(flush=True)\n"
    )
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    write(f"jsonl:{path}?append=1", 8)
    assert len(ids(path)) > 15
    assert ids(path)[-1] == 8


def test_a_full_file_is_put_aside_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    file = LineFile(path, "jsonl:x", append=True, rotate_bytes=40, keep=2)
    for i in range(10):
        file.write(f'{{"frame_id":{i}}}'.encode())
    file.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "out.jsonl", "out.jsonl.1", "out.jsonl.2"
    ]  # fmt: skip
    assert [ids(tmp_path / f"out.jsonl{n}") for n in (".2", ".1", "")] == [
        [4, 5], [6, 7], [8, 9]
    ]  # fmt: skip


def test_a_restart_counts_what_is_there_towards_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for i in range(3):
        file = LineFile(path, "jsonl:x", append=True, rotate_bytes=40)
        file.write(f'{{"frame_id":{i}}}'.encode())
        file.close()
    assert (ids(tmp_path / "out.jsonl.1"), ids(path)) == ([0, 1], [2])


def test_a_line_larger_than_the_limit_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    file = LineFile(path, "jsonl:x", append=True, rotate_bytes=10)
    file.write(b'{"a":"larger than ten"}')
    file.write(b'{"b":"and so is this"}')
    file.close()
    assert path.read_bytes() == b'{"b":"and so is this"}\n'


def test_a_rotation_that_fails_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    file = LineFile(path, "jsonl:x", append=True, rotate_bytes=40)
    for i in range(2):
        file.write(f'{{"frame_id":{i}}}'.encode())
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(SinkError, match=r"No space left.*The 2 lines before are intact"):
            file.write(b'{"frame_id":2}')
    file.write(b'{"frame_id":3}')
    file.close()
    assert (ids(tmp_path / "out.jsonl.1"), ids(path)) == ([0, 1], [3])


def test_a_file_that_another_run_writes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = open_sink(parse_sink(f"jsonl:{path}"), RunInfo())
    first.write(make_result())
    with pytest.raises(SinkError, match="another run writes"):
        open_sink(parse_sink(f"jsonl:{path}"), RunInfo())
    first.close()
    assert ids(path) == [0]


def test_standard_output_is_not_rotated() -> None:
    with pytest.raises(ConfigError, match="append and rotate are for files"):
        open_sink(parse_sink("jsonl:-?rotate=1MB"), RunInfo())


@pytest.mark.parametrize("value", ["9999", "10", "1TB", "-1MB", "1.5MB", "MB", ""])
def test_a_size_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"option rotate: expected bytes, kB, MB or GB"):
        parse_sink(f"jsonl:x?rotate={value}")


def test_sizes_are_read_in_any_unit() -> None:
    values = ("10000", "10kB", "100MB", "2gb")
    found = [parse_sink(f"jsonl:x?rotate={value}").options["rotate"] for value in values]
    assert found == [10_000, 10_000, 100_000_000, 2_000_000_000]
