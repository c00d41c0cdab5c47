"""`edgesam-run` with outputs that others read while it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ports import free_port
from tests.sinks.broker import (
    PROGRAM,
    WHY_NO_BROKER,
    Broker,
    Listener,
    running,
    wait_for,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
COMMAND = [sys.executable, "-m", "edgesam_rt", "synthetic:?live=1&size=160x120&fps=15"]
SMALL = ["--encoder-side", "384", "--threads", "1", "--point", "80,60", "--quiet"]


@contextmanager
def started(*outs: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A run that ends by SIGTERM."""
    given = [part for out in outs for part in ("--out", out)]
    process = subprocess.Popen(
        [*COMMAND, *SMALL, *given],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def ended(*outs: str) -> subprocess.CompletedProcess[str]:
    """A run of three frames."""
    given = [part for out in outs for part in ("--out", out)]
    command = [*COMMAND, *SMALL, "--max-frames", "3", *given]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_wrong_address_ends_the_command_before_anything_runs(tmp_path: Path) -> None:
    done = ended("mqtt://host:99999/x", f"jsonl:{tmp_path}/x.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "sink 'mqtt://host:99999/x': Port out of range" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_broker_that_is_down_stops_no_run_and_its_losses_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    done = ended(f"mqtt://127.0.0.1:{free_port()}/gate", f"jsonl:{path}")
    assert done.returncode == 0, done.stderr
    assert len(path.read_text().splitlines()) == 3
    assert "cannot connect: [Errno 111] Connection refused; the run ends before" in done.stderr
    assert "results lost here so far: 3" in done.stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: apt-get install gcc")
def test_a_program_in_c_follows_a_real_run(tmp_path: Path) -> None:
    program, path = tmp_path / "read_feed", tmp_path / "feed.sock"
    subprocess.run(["cc", "-std=c99", "-o", program, EXAMPLES / "read_feed.c"], check=True)
    with started(f"socket:{path}?masks=bits"):
        wait_for(path.exists, "socket")
        reader = subprocess.Popen([program, path], stdout=subprocess.PIPE, text=True)
        assert reader.stdout is not None
        lines = [reader.stdout.readline() for _ in range(6)]
    reader.communicate(timeout=20)
    frames = [line for line in lines if line.startswith("frame ")]
    objects = [line for line in lines if line.startswith("  object 1 box ")]
    assert len(frames) == len(objects) == 3
    assert int(objects[-1].split(" area ")[1].split()[0]) > 20
    assert reader.returncode == 0, "the end of the run is the end of the feed"


def test_a_browser_may_look_while_results_are_written(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "x.jsonl"
    with started(f"mjpeg::{port}", f"jsonl:{path}"):
        wait_for(lambda: path.exists() and path.stat().st_size > 2000, "results")
        url = f"http://127.0.0.1:{port}/snapshot.jpg"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read(2) == b"\xff\xd8"


@pytest.mark.skipif(PROGRAM is None, reason=WHY_NO_BROKER)
def test_results_reach_a_broker(tmp_path: Path) -> None:
    with running(Broker(tmp_path)) as broker:
        listener = Listener(broker.port, "gate/#")
        done = ended(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1")
        assert done.returncode == 0, done.stderr
        wait_for(lambda: len(listener.heard) == 5, "messages")
        rows: list[dict[str, Any]] = [json.loads(p) for p in listener.payloads("/results")]
        assert [row["objects"][0]["id"] for row in rows] == [1, 1, 1]
        assert listener.payloads("/status") == [b"online", b"offline"]
        listener.close()


def test_without_paho_the_command_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'paho' else find(name, *a)\n"
    )
    with started("mqtt://127.0.0.1/x", PYTHONPATH=str(tmp_path)) as process:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 3
    assert "paho-mqtt is not installed: pip install 'edgesam_rt[service]'" in err
