"""The whole command on clips: throughput, latency, memory, time to the first result; import time.

Every clip is segmented by a real `edgesam-run` in a process of its own, with one point prompt and
results as JSON lines. Steady throughput is compared with what the slowest of the pipeline's threads
allows in the same run: 1000 / mean of its milliseconds per frame.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report
from edgesam_rt.bench.measure import series
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import PipelineError

DATA = Path("../shared/data")
DAVIS = "clips/davis_dog.mp4"
CLIP_WH = (640, 480)
STARTING = 10  # results left out of the steady part: queues fill, caches warm
THREADS = {  # of the pipeline: the stages whose times are theirs
    "capture": ("capture_ms",),
    "encode": ("fit_ms", "encode_ms"),
    "decode": ("decode_ms", "mask_ms"),
}
IMPORT = """
import sys, time
import numpy
started = time.perf_counter_ns()
import edgesam_rt
taken = (time.perf_counter_ns() - started) / 1e6
import json
heavy = ("cv2", "onnxruntime", "torch", "onnx")
print(json.dumps([taken, [name for name in heavy if name in sys.modules]]))
"""
# Runs a command, then writes when it began and ended, and its peak memory. A process of its own,
# because a child's peak is never less than its parent's was when it began.
LAUNCHER = """
import json, os, sys, time
started = time.monotonic_ns()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(json.dumps([started, time.monotonic_ns(), used.ru_maxrss]))
sys.exit(os.waitstatus_to_exitcode(status))
"""
USE = IMPORT.replace("taken =", "edgesam_rt.open, edgesam_rt.Prompt\ntaken =")


def compiled() -> dict[str, str]:
    """Environment in which Python keeps compiled modules, as it does for whoever installs this."""
    folder = Path(tempfile.gettempdir()) / f"edgesam-bench-pyc-{os.getuid()}"
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}


class Ran(NamedTuple):
    """What one `edgesam-run` did: its summary, its results, its peak memory, and when it began."""

    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    peak_mib: float
    started_ns: int
    wall_s: float


def write_clip(path: Path, frames: int) -> None:
    """Write a clip of synthetic frames, in a process of its own: this one must stay small."""
    code = (
        "import sys, cv2\n"
        "from edgesam_rt.cameras.synthetic import SyntheticCamera\n"
        "path, n, w, h = sys.argv[1], *map(int, sys.argv[2:])\n"
        "camera = SyntheticCamera(size_wh=(w, h), frames=n)\n"
        "out = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), 30, (w, h))\n"
        "assert out.isOpened(), 'OpenCV cannot write mp4v'\n"
        "for i in range(n):\n"
        "    out.write(camera.draw(i)[..., ::-1].copy())\n"
        "out.release()\n"
    )
    words = [str(n) for n in (frames, *CLIP_WH)]
    subprocess.run([sys.executable, "-c", code, str(path), *words], check=True)


def run(clip: Path | str, options: Sequence[str], folder: Path) -> Ran:
    """Segment a clip, or another source, with the command.

    Raises:
        PipelineError: the command failed; its last words are in the message.
    """
    results, said = folder / "results.jsonl", folder / "stderr.txt"
    command = [sys.executable, "-m", "edgesam_rt.cli.run", str(clip), "--json", *options]
    command += ["--out", f"jsonl:{results}"]
    with said.open("wb") as stderr:
        done = subprocess.run(
            [sys.executable, "-S", "-c", LAUNCHER, *command],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | compiled(),
            check=False,
        )
    if done.returncode:
        last = said.read_text(encoding="utf-8", errors="replace")[-500:]
        raise PipelineError(f"{' '.join(command)}: exit code {done.returncode}: {last}")
    summary, (started_ns, ended_ns, peak) = map(json.loads, done.stdout.splitlines())
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    mib = peak / (1024 if sys.platform != "darwin" else 1024**2)
    return Ran(summary, rows, round(mib, 1), started_ns, (ended_ns - started_ns) / 1e9)


def figures_of(ran: Ran) -> dict[str, object]:
    """Steady throughput against what the slowest thread allows, and the rest."""
    done_ns = [r["captured_at_ns"] + r["age_ms"] * 1e6 for r in ran.rows]
    steady = ran.rows[STARTING:]
    fps = (len(steady) - 1) * 1e9 / (done_ns[-1] - done_ns[STARTING])
    taken = {
        name: [sum(r["timings"][key] for key in keys) for r in steady]
        for name, keys in THREADS.items()
    }
    sinks = {k: v["p50_ms"] for k, v in ran.summary["stages"].items() if k.startswith("sink ")}
    # Means, as rates are: a few slow frames do not show in a p50, and do in the throughput.
    busy = {name: statistics.fmean(ms) for name, ms in taken.items()} | {
        "sink": max(sinks.values())
    }
    slowest = max(busy, key=lambda name: busy[name])
    allowed = 1000 / busy[slowest]
    return {
        "results": len(ran.rows),
        "fps": round(fps, 2),
        "slowest_thread": slowest,
        "allowed_fps": round(allowed, 2),
        "ratio": round(fps / allowed, 3),
        "thread_ms": {name: series(ms) for name, ms in taken.items()},
        "stages": {name.split(":")[0]: row for name, row in ran.summary["stages"].items()},
        "dropped": ran.summary["dropped"],
        "bundle": ran.summary["bundle"],
        "backend": ran.summary["backend"],
        "encoder_sides": ran.summary["encoder_sides"],
        "peak_memory_mib": ran.peak_mib,
        "first_result_s": round((done_ns[0] - ran.started_ns) / 1e9, 3),
        "wall_s": round(ran.wall_s, 3),
    }


def clips(args: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    """Every clip that is here."""
    made = folder / "synthetic.mp4"
    write_clip(made, args.frames)
    davis = args.data / DAVIS
    runs = [(f"synthetic, {CLIP_WH[0]}x{CLIP_WH[1]}", made)]
    runs += [(f"{davis.stem}, 640x360", davis)] if davis.is_file() else []
    options = ["--point", "320,180", "--quiet"]
    options += ["--bundle", args.bundle] if args.bundle else []
    out = []
    for name, clip in runs:
        for threads in args.threads:
            more = ["--threads", str(threads)] if threads else []
            ran = run(clip, [*options, *more], folder)
            label = threads or "board's"
            out.append({"clip": name, "threads": label, **figures_of(ran)})
    return out


def import_time(code: str, n: int) -> dict[str, object]:
    """Milliseconds that the import takes beyond numpy, in fresh interpreters, after a first one."""
    taken: list[float] = []
    heavy: set[str] = set()
    for _ in range(n + 1):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, check=True, env=os.environ | compiled())
        ms, found = json.loads(done.stdout)
        taken.append(ms)
        heavy |= set(found)
    taken = taken[1:]
    return {
        "n": n,
        "min_ms": round(min(taken), 2),
        "median_ms": round(statistics.median(taken), 2),
        "heavy_modules": sorted(heavy),
    }


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("pipeline", "benchmarks.pipeline", args)
    figures: dict[str, object] = {
        "import": import_time(IMPORT, args.imports),
        "import_and_use": import_time(USE, args.imports),
    }
    with tempfile.TemporaryDirectory() as folder:
        figures["runs"] = clips(args, Path(folder))
    recorder.finish(figures)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", metavar="NAME|PATH", help="default: the board's")
    p.add_argument("--threads", type=int, nargs="+", default=[0], help="0 is the board's number")
    p.add_argument("--frames", type=int, default=300, help="of the synthetic clip")
    p.add_argument("--imports", type=int, default=15, metavar="N", help="interpreters started")
    p.add_argument("--data", type=Path, default=DATA, help=f"folder that may hold {DAVIS}")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
