"""Do the stages overlap, and what do the ladder's means cost?

The encoder is the slowest stage. It is timed alone, with the threads and frames of the run, in
turns with a real `edgesam-run` that reads the same frames as fast as it can; others watch live
sources. A live result's age is compared with the sum of its own stages' times: the rest are waits.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import pipeline, report
from benchmarks.paired import ratio_of_turns
from edgesam_rt.bench.measure import series
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.cli.exits import run_command
from edgesam_rt.engines import resolve
from edgesam_rt.pipeline.encoders import Encoders
from edgesam_rt.pipeline.scene import Scene

FRAMES = 60  # pictures that the encoder alone is given in turn
STARTING = 15  # results and runs left out: queues fill, caches warm
SIZES_WH = ((640, 480), (1280, 720), (1920, 1080))
OWN = ("fit_ms", "encode_ms", "decode_ms", "mask_ms")
MODES = {
    "prompt": ("--point", "320,180"),
    "track": ("--mode", "track", "--point", "320,180"),
}


def encoder_alone(threads: int | None, runs: int) -> dict[str, float]:
    """Milliseconds per frame of the encoder and its preprocessing, nothing else running."""
    engines = resolve(threads=threads, self_test=False)
    camera = SyntheticCamera()
    pictures = [camera.draw(i) for i in range(FRAMES)]
    encoder = engines.open_encoder(engines.sides[0])
    taken = []
    for i in range(STARTING + runs):
        started = time.perf_counter()
        encoder.encode(pictures[i % FRAMES])
        taken.append((time.perf_counter() - started) * 1e3)
    encoder.close()
    steady = taken[STARTING:]
    return {**series(steady), "mean": round(float(np.mean(steady)), 3)}


def through(threads: int | None, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Throughput of a source that waits, against that of its encoder alone, in turns."""
    ran = [_turn(threads, args.frames, folder) for _ in range(args.turns)]
    alone_ms, found = [t[0] for t in ran], [t[1] for t in ran]
    fps, allowed = [f["fps"] for f in found], [f["allowed_fps"] for f in found]
    middle = sorted(found, key=lambda each: each["fps"])[len(found) // 2]
    return {
        "threads": middle["threads"],
        "alone_ms": round(float(np.median(alone_ms)), 2),
        "fps": middle["fps"],
        "ratio_alone": ratio_of_turns([1000 / ms for ms in alone_ms], fps),
        "ratio_in_run": ratio_of_turns(allowed, fps),
        "slowest_in_run": middle["slowest_thread"],
    }


def _turn(threads: int | None, frames: int, folder: Path) -> tuple[float, dict[str, Any]]:
    """The encoder alone, the command, the encoder alone again."""
    before = encoder_alone(threads, frames // 2)
    ran = pipeline.run(f"synthetic:?frames={frames}", _options(threads, "prompt"), folder)
    after = encoder_alone(threads, frames // 2)
    figures = {**pipeline.figures_of(ran), "threads": ran.summary["threads"]}
    return (before["mean"] + after["mean"]) / 2, figures


def live(fps: float, mode: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Ages of a live source's results against the sums of their own stages' times."""
    source = f"synthetic:?live=true&fps={fps:g}"
    ran = pipeline.run(source, [*_options(None, mode), "--duration", f"{seconds:g}"], folder)
    rows = ran.rows[STARTING:]
    ages = [row["age_ms"] for row in rows]
    sums = [sum(row["timings"][key] for key in OWN) for row in rows]
    done_ns = [row["captured_at_ns"] + row["age_ms"] * 1e6 for row in rows]
    return {
        "source_fps": fps,
        "mode": mode,
        "fps": round((len(rows) - 1) * 1e9 / (done_ns[-1] - done_ns[0]), 2),
        "age_ms": series(ages),
        "stages_ms": series(sums),
        "ratio_p50": round(float(np.median(ages) / np.median(sums)), 3),
        "ratio_p95": round(float(np.percentile(np.array(ages) / np.array(sums), 95)), 3),
    }


def comparing(size_wh: tuple[int, int], runs: int = 200) -> dict[str, Any]:
    """Milliseconds to see that a scene stands still."""
    pixels, scene = SyntheticCamera(size_wh=size_wh).draw(0), Scene()
    taken = []
    for _ in range(STARTING + runs):
        started = time.perf_counter()
        scene.stands_still(pixels)
        scene.remember()
        taken.append((time.perf_counter() - started) * 1e3)
    return {"size": f"{size_wh[0]}x{size_wh[1]}", **series(taken[STARTING:])}


def opening() -> list[dict[str, Any]]:
    """What each encoder of the ladder costs to open and to run once, one after the other."""
    engines = resolve(self_test=False)
    first, encoders, rows = Encoders(engines), Encoders(engines), []
    first.open(engines.sides[:1], warm_up=True)  # the library itself, and what all share
    for side in engines.sides:
        before_mib, started = resident_mib(), time.perf_counter()
        encoders.open([side], warm_up=True)
        ms = (time.perf_counter() - started) * 1e3
        rows.append({"side": side, "ms": round(ms), "mib": round(resident_mib() - before_mib, 1)})
    for opened in (first, encoders):
        opened.close()
    return rows


def resident_mib() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _options(threads: int | None, mode: str) -> list[str]:
    return [*MODES[mode], "--quiet", *(["--threads", str(threads)] if threads else [])]


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("overlap", "benchmarks.overlap", args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {
            "opening": opening(),
            "comparing": [comparing(size) for size in SIZES_WH],
            "through": [through(n or None, args, folder) for n in args.threads],
            "live": [
                live(fps, mode, args.seconds, folder) for mode in MODES for fps in args.live_fps
            ],
        }
    recorder.finish(figures)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.overlap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--threads", type=int, nargs="+", default=[0, 1], help="0 is the board's number")
    p.add_argument("--frames", type=int, default=100, help="of the source that waits, per turn")
    p.add_argument("--turns", type=int, default=10, help="encoder alone, command, encoder alone")
    p.add_argument("--live-fps", type=float, nargs="+", default=[15, 30])
    p.add_argument("--seconds", type=float, default=8.0, help="of every live run")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
