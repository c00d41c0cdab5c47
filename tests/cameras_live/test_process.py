"""`edgesam-run` on a camera that dies and comes back: the real process, a real server."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.cameras_live.workplace import PATIENCE_S, RtspServer
from tests.cli.workplace import SMALL, end_with, rows_in, run_process, start_process, wait_for_lines

POINT = ("--point", "160,120", *SMALL)
SECRET = "hunter2"


def test_a_run_outlives_a_restart_of_its_camera_and_tells_no_login(
    server: RtspServer, tmp_path: Path
) -> None:
    server.kill()
    server.login = f"viewer:{SECRET}"
    server.start()
    source = server.url.replace("//", f"//{server.login}@") + "#retry=0.5&probe=0.1"
    lines = tmp_path / "o.jsonl"
    process = start_process(source, *POINT, "--json", "-v", "--out", f"jsonl:{lines}")
    wait_for_lines(lines, 3, process)
    server.kill()
    time.sleep(0.7)
    before = lines.read_bytes().count(b"\n")
    server.start("640x480")
    wait_for_lines(lines, before + 3, process)
    ran = end_with(process, signal.SIGTERM)

    assert ran.code == 143, ran.err
    summary = json.loads(ran.out)
    assert summary["reconnects"] == 1
    assert summary["camera_breaks"]["ended"] == 1
    rows = rows_in(lines)
    ids = [row["frame_id"] for row in rows]
    assert ids == sorted(set(ids))
    assert rows[-1]["image_hw"] == [480, 640]
    assert ran.err.count("lost, trying again") == 1
    assert ran.err.count(": back after") == 1
    told = ran.out + ran.err + lines.read_text()
    assert SECRET not in told
    assert "Traceback" not in told


def test_a_camera_that_is_not_there_ends_a_run_at_once(server: RtspServer) -> None:
    server.kill()
    started = time.monotonic()
    ran = run_process(server.url.replace("//", f"//me:{SECRET}@"), *POINT)
    assert ran.code == 3
    assert "nothing listens on port" in ran.err
    assert SECRET not in ran.out + ran.err
    assert time.monotonic() - started < PATIENCE_S


def test_what_would_run_is_printed_without_the_login() -> None:
    ran = run_process(f"rtsp://me:{SECRET}@127.0.0.1/cam", *POINT, "--check")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["source"] == "rtsp://***@127.0.0.1/cam"
    assert SECRET not in ran.out + ran.err
