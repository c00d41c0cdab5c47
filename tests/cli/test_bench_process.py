"""`edgesam-bench` as a process: signals, and disks that are full."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgesam_rt.bench import report as reports
from tests.bench.reports import report
from tests.cli.workplace import environment

pytestmark = pytest.mark.timeout(180)

COMMAND = (sys.executable, "-m", "edgesam_rt.cli.bench")
QUICK = ("--quick", "--encoder-side", "384", "--threads", "1")
PATIENCE_S = 150.0  # a quick run takes seconds, on a busy machine more
FULL = ("bash", "-c", 'ulimit -f 1; exec "$@"', "bash")  # no file over 1 KiB can be written


def start(*args: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (*COMMAND, *map(str, args)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_was_measured_and_marks_it(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    process = start(*QUICK, "--out", out)
    assert process.stderr is not None
    for line in process.stderr:
        if re.match("round 1: stages", line):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert "Traceback" not in err
    found = reports.read(out)
    assert not found.complete
    assert {"start", "memory"} <= {s.case for s in found.series}


def test_a_signal_before_anything_was_measured_leaves_an_older_report(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    reports.write(report(), out)
    before = out.read_bytes()
    process = start(*QUICK, "--out", out)
    assert process.stderr is not None
    assert process.stderr.readline() == "opening the engines\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "nothing was measured" in err
    assert out.read_bytes() == before


def test_a_full_disk_leaves_the_older_page(tmp_path: Path) -> None:
    saved, page = tmp_path / "r.json", tmp_path / "r.html"
    reports.write(report(), saved)
    page.write_text("the older page")
    done = subprocess.run(
        (*FULL, *COMMAND, "report", str(saved), "--out", str(page)),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert page.read_text() == "the older page"
