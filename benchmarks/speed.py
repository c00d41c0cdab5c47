"""Speed of the engines, and what the runtime adds to them.

- encoder: a float bundle against the INT8 one, runs in turns, per side and number of threads;
- decoder: 1 to 256 point prompts in one `predict`, one thread, with each engine's share;
- overhead: one frame and one prompt through `encode`, `predict`, `masks`, `rle`, less the engines;
- chunks (`--chunks`): 256 points with other numbers of prompts per engine call.

The picture is a synthetic frame of 640x480, so no data is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import edgesam_rt as es
from benchmarks import report
from edgesam_rt import segmenter as segmenter_module
from edgesam_rt.api import Segmenter
from edgesam_rt.bench import measure
from edgesam_rt.bench.cases import picture, points
from edgesam_rt.bench.measure import EngineClock, engine_clock, series
from edgesam_rt.bundle import DEFAULT, find
from edgesam_rt.cli.exits import run_command
from edgesam_rt.pipeline.metrics import peak_memory_mib
from edgesam_rt.types import U8

PROMPTS = (1, 16, 64, 256)
WARM_UP = 5
SCORE_CHUNKS = (8, 16, 32, 64, 128, 256)
MASK_CHUNKS = (1, 2, 4, 8, 16, 32)


def encoder(args: argparse.Namespace, side: int, threads: int) -> dict[str, object]:
    """Float against INT8 at one side: both orders of magnitude, and two ratios."""
    pixels = picture()
    opened = {
        "float": es.open(args.float, encoder_side=side, threads=threads),
        "int8": es.open(args.bundle, encoder_side=side, threads=threads),
    }
    engine_ms: dict[str, list[float]] = {name: [] for name in opened}

    def work(name: str) -> None:
        engine_ms[name].append(opened[name].encode(pixels).encode_ms)

    works = {name: partial(work, name) for name in opened}
    times = measure.interleave(works, warm_up=WARM_UP, repeats=args.repeats)
    kept = {name: series(values[WARM_UP:]) for name, values in engine_ms.items()}
    row: dict[str, object] = {"side": side, "threads": threads}
    for name, one in opened.items():
        cpu = series(times[name].cpu)
        row[name] = {"bundle": one.bundle, "engine_ms": kept[name], "thread_cpu_ms": cpu}
        one.close()
    for key in ("p50", "min"):
        row[f"ratio_{key}"] = round(kept["float"][key] / kept["int8"][key], 3)
    return row


def decoder(one: Segmenter, clock: EngineClock, count: int, repeats: int) -> dict[str, object]:
    """So many point prompts in one call of `predict`."""
    pixels = picture()
    embedding, prompts = one.encode(pixels), points(count)
    parts: dict[str, list[float]] = {"scorer": [], "mask_head": [], "decoder": []}

    def work() -> None:
        clock.take()
        one.predict(embedding, prompts)
        for name, ms in clock.take().items():
            parts[name].append(ms)

    times = measure.repeat(work, warm_up=WARM_UP, repeats=repeats)
    row: dict[str, object] = {"prompts": count, **times.figures()}
    row["each_ms"] = round(series(times.wall)["p50"] / count, 4)
    row["each_ms_min"] = round(min(times.wall) / count, 4)
    for name, values in parts.items():
        if values:
            row[f"{name}_ms"] = series(values[WARM_UP:])
    return row


def overhead(one: Segmenter, clock: EngineClock, repeats: int) -> dict[str, object]:
    """One frame with one point, from pixels to run lengths; what is not the engines' is ours."""
    pixels = picture()
    rows = [one_frame(one, clock, pixels) for _ in range(WARM_UP + repeats)][WARM_UP:]
    return {name: series([row[name] for row in rows]) for name in rows[0]}


def one_frame(one: Segmenter, clock: EngineClock, pixels: U8) -> dict[str, float]:
    """Where the time of one frame goes, ms."""
    clock.take()
    times = measure.Times()
    embedding = times.run(lambda: one.encode(pixels))
    found = times.run(lambda: one.predict(embedding, es.Prompt.point(320, 240)))
    times.run(lambda: found.masks)
    times.run(found.rle)
    encode, predict, masks, rle = times.wall
    engines = clock.take()
    inside = sum(engines.values())
    return {
        "total": sum(times.wall),
        "engines": inside,
        "added": sum(times.wall) - inside,
        "resize and feed": encode - engines["encoder"],
        "prompts and choice": predict - (inside - engines["encoder"]),
        "masks": masks,
        "rle": rle,
    }


def chunks(one: Segmenter, repeats: int) -> list[dict[str, object]]:
    """256 points with other numbers of prompts per engine call."""
    pixels = picture()
    embedding, prompts = one.encode(pixels), points(256)
    grids = [("SCORE_CHUNK", SCORE_CHUNKS), ("MASK_CHUNK", MASK_CHUNKS)]
    works = {(name, size): (name, size) for name, sizes in grids for size in sizes}

    def work(name: str, size: int) -> None:
        with mock.patch.object(segmenter_module, name, size):
            one.predict(embedding, prompts)

    turns = {f"{name}={size}": partial(work, name, size) for name, size in works}
    times = measure.interleave(turns, warm_up=1, repeats=repeats)
    return [
        {
            "set": name,
            "each_ms": round(series(t.wall)["p50"] / len(prompts), 4),
            "each_ms_min": round(min(t.wall) / len(prompts), 4),
        }
        for name, t in times.items()
    ]


def measure_all(args: argparse.Namespace) -> dict[str, object]:
    """All parts, one after the other."""
    sides = find(args.bundle).sides("onnxruntime")
    figures: dict[str, object] = {
        "encoder": [encoder(args, side, n) for side in sides for n in args.threads]
        if args.float
        else []
    }
    with es.open(args.bundle, threads=1) as one, engine_clock() as clock:
        figures["bundle"], figures["backend"] = one.bundle, one.backend
        figures["decoder"] = [
            decoder(one, clock, n, max(1, args.repeats // (1 + n // 64))) for n in PROMPTS
        ]
        figures["overhead"] = overhead(one, clock, args.repeats * 2)
        if args.chunks:
            figures["chunks"] = chunks(one, max(5, args.repeats // 10))
    figures["peak_memory_mib"] = peak_memory_mib()
    return figures


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("speed", "benchmarks.speed", args)
    recorder.finish(measure_all(args))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", default=DEFAULT, metavar="NAME|PATH", help="the INT8 one")
    p.add_argument("--float", metavar="NAME|PATH", help="its float twin, for the encoder's ratio")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the encoder")
    p.add_argument("--repeats", type=int, default=100, metavar="N")
    p.add_argument("--chunks", action="store_true", help="also try numbers of prompts per call")
    p.add_argument("--data", type=Path, help="not used; every benchmark takes it")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
