"""`edgesam-run` as a process: signals, pipes, terminals, closed streams."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.camera_doubles import write_video
from tests.cli.workplace import (
    COMMAND,
    PATIENCE_S,
    SMALL,
    end_with,
    environment,
    rows_in,
    run_process,
    start_process,
    wait_for_lines,
)
from tests.unit.sinks.readers import frames_in

pytestmark = pytest.mark.timeout(90)

POINT = ("--point", "30,20", *SMALL)
ENDLESS = ("synthetic:?live=1&size=64x48&fps=20", *POINT)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "long.avi", 2000)


@pytest.mark.parametrize(
    ("number", "code", "suffix"), [(signal.SIGINT, 130, "mp4"), (signal.SIGTERM, 143, "webm")]
)
def test_a_signal_in_the_middle_of_a_clip_leaves_whole_files(
    number: signal.Signals, code: int, suffix: str, long_clip: Path, tmp_path: Path
) -> None:
    lines, video = tmp_path / "o.jsonl", tmp_path / f"o.{suffix}"
    process = start_process(
        long_clip, *POINT, "--out", f"jsonl:{lines}", "--out", f"overlay:{video}"
    )
    wait_for_lines(lines, 3, process)
    started = time.monotonic()
    ran = end_with(process, number)
    assert time.monotonic() - started < 10
    assert ran.code == code, ran.err
    assert ran.out == ""
    rows = rows_in(lines)
    assert [row["frame_id"] for row in rows] == list(range(len(rows)))
    assert 3 <= len(rows) < 2000
    assert len(frames_in(video)) == len(rows)
    assert f"{len(rows)} of " in ran.err
    assert "Traceback" not in ran.err


def test_a_signal_ends_a_run_that_waits_for_nothing(tmp_path: Path) -> None:
    """A live source, JSON summary: still one JSON line."""
    lines = tmp_path / "o.jsonl"
    process = start_process(*ENDLESS, "--json", "--out", f"jsonl:{lines}")
    wait_for_lines(lines, 1, process)
    ran = end_with(process, signal.SIGTERM)
    assert (ran.code, ran.err) == (143, "")
    assert ran.rows[0]["results"] == len(rows_in(lines))


def test_a_signal_before_the_first_frame_is_no_traceback() -> None:
    for wait_s in (0.15, 0.3, 0.6):
        process = start_process(*ENDLESS)
        time.sleep(wait_s)
        ran = end_with(process, signal.SIGINT)
        assert ran.code in (130, -signal.SIGINT)
        assert "Traceback" not in ran.err, f"after {wait_s} s"
        assert "internal error" not in ran.err


def test_kill_leaves_whole_lines(tmp_path: Path) -> None:
    lines = tmp_path / "o.jsonl"
    process = start_process(*ENDLESS, "--out", f"jsonl:{lines}")
    wait_for_lines(lines, 3, process)
    assert end_with(process, signal.SIGKILL).code == -signal.SIGKILL
    assert len(rows_in(lines)) >= 3


@pytest.mark.parametrize("source", ["synthetic:?frames=30&size=64x48", ENDLESS[0]])
def test_head_ends_it_quietly(source: str) -> None:
    process = start_process(source, *POINT, "--quiet")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith('{"schema"')
    process.stdout.close()
    try:
        code = process.wait(20)
    except subprocess.TimeoutExpired:
        pytest.fail("it goes on for ever although nobody reads")
    finally:
        process.kill()
        err = process.stderr.read()
        process.stderr.close()
    assert code in (0, 141, -signal.SIGPIPE)
    assert err == ""


def test_it_is_clean_where_nothing_is_a_terminal() -> None:
    ran = run_process("synthetic:?frames=3&size=64x48", *POINT)
    assert ran.code == 0
    assert [row["frame_id"] for row in ran.rows] == [0, 1, 2]
    assert "\r" not in ran.err
    assert "\x1b" not in ran.err
    assert "3 of 3 frames" in ran.err


def on_a_terminal(*args: str) -> tuple[str, str, int]:
    """Run with stderr on a pseudo-terminal; returns stdout, what the terminal saw, exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        (*COMMAND, *args), stdout=subprocess.PIPE, stderr=theirs, env=environment(), text=True
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    out, _ = process.communicate(timeout=PATIENCE_S)
    return out, seen.decode(), process.returncode


def test_a_terminal_sees_progress_and_then_the_table() -> None:
    out, seen, code = on_a_terminal("synthetic:?frames=25&size=64x48", *POINT, "--out", "null:")
    assert (out, code) == ("", 0)
    assert re.search(r"\d+%\|", seen)
    assert "/25" in seen
    assert "25 of 25 frames" in seen
    assert all(len(line) <= 80 for line in re.split("[\r\n]+", seen) if "%|" in line)


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_a_terminal_sees_nothing_of_a_quiet_run(option: str) -> None:
    _, seen, code = on_a_terminal(
        "synthetic:?frames=5&size=64x48", *POINT, "--out", "null:", option
    )
    assert (seen, code) == ("", 0)


def test_an_early_end_of_a_video_does_not_let_ffmpeg_talk(workplace: Path) -> None:
    ran = run_process(workplace / "short.avi", "--point", "48,32", "--quiet", *SMALL)
    assert ran.code == 0
    assert ran.err == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_closed_stream_is_no_internal_error(closed: str, workplace: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    command = " ".join((*COMMAND, str(workplace / "good.png"), "--point", "80,60", *SMALL))
    done = subprocess.run(
        ("bash", "-c", f"{command} --out jsonl:{out} {closed}"),
        env=environment(),
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert len(rows_in(out)) == 1


def test_results_to_a_closed_stdout_are_a_plain_error(workplace: Path) -> None:
    command = " ".join((*COMMAND, str(workplace / "good.png"), "--point", "80,60", *SMALL))
    done = subprocess.run(
        ("bash", "-c", f"{command} >&-"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "standard output" in done.stderr


def test_a_full_stdout_is_a_plain_error(workplace: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start_process(workplace / "good.png", "--point", "80,60", *SMALL, stdout=full)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "No space left" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", ["--json", "--check"])
def test_a_full_stdout_is_a_plain_error_for_the_summary_too(option: str, workplace: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start_process(
            workplace / "good.png", "--point", "80,60", *SMALL, option, stdout=full
        )
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    assert "No space left" in err
    assert "Traceback" not in err
    assert "internal error" not in err


def test_help_fits_eighty_columns() -> None:
    ran = run_process("--help")
    assert ran.code == 0
    too_long = [line for line in ran.out.splitlines() if len(line) > 80]
    assert not too_long
