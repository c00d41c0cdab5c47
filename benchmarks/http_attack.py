"""The pipeline's latency while its HTTP server is attacked, against the same run left alone.

A real `edgesam-run` on a live synthetic camera is bound to one core, all attackers to another, so
that what is measured is what the server does to the pipeline. Turns alternate: alone, attacked,
attacked, alone. The first row is no attack at all: as far as it is from 1, other work of the
machine can bring any row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import report
from benchmarks.http_attackers import ATTACKS
from benchmarks.paired import ratio_of_turns
from edgesam_rt.bench.measure import series
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import PipelineError

START_S = 60.0
SETTLE_S = 0.25  # of each turn, left out
NOTHING = "nothing, to compare"
CAMERA = "synthetic:?live=1&size=640x480&fps={fps}"


class Served(NamedTuple):
    """A run: where it is served, and where its results go."""

    port: int
    results: Path


@contextmanager
def run(args: argparse.Namespace, folder: Path) -> Iterator[Served]:
    """Start the command on its core; returns when results come."""
    results, said = folder / "results.jsonl", folder / "said"
    command = [sys.executable, "-m", "edgesam_rt.cli.run", CAMERA.format(fps=args.fps)]
    command += ["--point", "320,240", "--threads", "1", "--encoder-side", str(args.encoder_side)]
    command += ["--http", "127.0.0.1:0", "--verbose", "--out", f"jsonl:{results}?rle=0"]
    with said.open("w") as stderr:
        process = subprocess.Popen(_on_core(0, command), stderr=stderr)
    try:
        yield Served(_port(said, results, process), results)
    finally:
        process.terminate()
        process.wait()


def _port(said: Path, results: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said.read_text())
        if found and results.exists() and results.stat().st_size:
            return int(found[1])
        time.sleep(0.1)
    raise PipelineError(f"the run did not start: {said.read_text()[-500:]}")


def _on_core(core: int, command: Sequence[str]) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(cores[min(core, len(cores) - 1)]), *command]


def ages(results: Path, since_ns: int, until_ns: int) -> list[float]:
    """Ages of the results of frames captured in a time, ms."""
    lines = results.read_text().split("\n")[:-1]  # the last one may be on its way
    rows = [json.loads(line) for line in lines]
    return [r["age_ms"] for r in rows if since_ns <= r["captured_at_ns"] < until_ns]


def measure(served: Served, seconds: float) -> list[float]:
    """Half a turn: ages of its results, ms."""
    time.sleep(SETTLE_S)
    since_ns = time.monotonic_ns()
    time.sleep(seconds)
    until_ns = time.monotonic_ns()
    time.sleep(SETTLE_S)
    return ages(served.results, since_ns, until_ns)


@contextmanager
def attacked(name: str, served: Served) -> Iterator[None]:
    """Attack while the block lasts."""
    if name == NOTHING:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.http_attackers", name]
    process = subprocess.Popen(_on_core(1, [*command, "127.0.0.1", str(served.port)]))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compare(name: str, served: Served, args: argparse.Namespace) -> dict[str, Any]:
    """Turns of two halves, alone and attacked, in changing order."""
    alone: list[list[float]] = []
    under: list[list[float]] = []
    for turn in range(args.turns):
        for is_attack in (turn % 2 == 1, turn % 2 == 0):
            with attacked(name if is_attack else NOTHING, served):
                (under if is_attack else alone).append(measure(served, args.seconds))
    return {
        "attack": name,
        "clients": ATTACKS[name][1] if name in ATTACKS else 0,
        "alone_ms": series(list(chain(*alone))),
        "attacked_ms": series(list(chain(*under))),
        "p95_ratio": ratio_of_turns(_p95(alone), _p95(under)),
    }


def _p95(halves: Sequence[Sequence[float]]) -> list[float]:
    return [float(np.percentile(half, 95)) for half in halves]


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("http-attack", "benchmarks.http_attack", args)
    with tempfile.TemporaryDirectory() as folder, run(args, Path(folder)) as served:
        rows = [compare(name, served, args) for name in (NOTHING, *args.attacks)]
    recorder.finish({"attacks": rows})
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.http_attack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="NAME")
    p.add_argument("--encoder-side", type=int, default=384, metavar="PX")
    p.add_argument("--fps", type=float, default=25.0, help="of the camera")
    p.add_argument("--seconds", type=float, default=1.6, help="of half a turn")
    p.add_argument("--turns", type=int, default=14, help="alone and attacked once in each")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
