"""Backends side by side: the same bundle by ONNX Runtime and by LiteRT, in turns, and their masks.

- speed: encoder, one point and 64 points (scores and masks), per precision, side and threads, on a
  synthetic frame of 640x480;
- agreement: masks of 200 prompts, a point and a box on each of 100 objects of coco-val.

A bundle without engines of one of the two is refused; `edgesam-engines add-litert` adds them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import edgesam_rt as es
from benchmarks import report
from edgesam_rt.api import Segmenter
from edgesam_rt.bench import measure
from edgesam_rt.bench.agreement import Case, agreement
from edgesam_rt.bench.cases import picture, points
from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.bench.environment import package_version
from edgesam_rt.bench.measure import series
from edgesam_rt.bench.protocols import deepest, tight_box
from edgesam_rt.bundle import DEFAULT, Bundle, find
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError

WHATS = ("encoder", "point", "points")  # what is timed
BACKENDS = ("onnxruntime", "litert")
DATA = Path("../shared/data")
PHOTOS = "coco-val"
MANY = 64
OBJECTS = 2  # of a photo that are asked about
WARM_UP = 3


def speed(name: str, side: int, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Both backends of one bundle at one side, in turns; one row per backend."""
    with ExitStack() as opened:
        works: dict[str, measure.Work] = {}
        for backend in BACKENDS:
            one = opened.enter_context(
                es.open(name, backend=backend, encoder_side=side, threads=threads)
            )
            works |= {f"{backend} {what}": work for what, work in _works(one)}
        times = measure.interleave(works, warm_up=WARM_UP, repeats=repeats)
    return [
        {
            "backend": backend,
            "side": side,
            "threads": threads,
            **{what: series(times[f"{backend} {what}"].wall) for what in WHATS},
        }
        for backend in BACKENDS
    ]


def _works(one: Segmenter) -> Iterator[tuple[str, measure.Work]]:
    pixels = picture()
    embedding, many = one.encode(pixels), points(MANY)
    yield "encoder", partial(one.encode, pixels)
    yield "point", partial(one.predict, embedding, es.Prompt.point(320, 240))
    yield "points", partial(one.predict, embedding, many)


def prompts(data: Path, count: int) -> Iterator[Case]:
    """Photos with a point and a box on two of their objects, until there are `count` prompts."""
    left = count // 2
    for photo in CocoFolder(data / PHOTOS):
        objects = photo.objects[: min(OBJECTS, left)]
        left -= len(objects)
        if objects:
            clicks = [es.Prompt.point(*deepest(mask)[:2]) for mask in objects]
            yield photo.pixels, [*clicks, *map(tight_box, objects)]


def measure_all(args: argparse.Namespace) -> dict[str, Any]:
    """All bundles; speed first, while the machine is cool."""
    bundles = [_checked(name) for name in args.bundle]
    figures: dict[str, Any] = {"bundles": []}
    for name, found in zip(args.bundle, bundles, strict=True):
        rows = [
            row
            for side in found.sides("litert")
            for threads in args.threads
            for row in speed(name, side, threads, args.repeats)
        ]
        figures["bundles"].append(
            {
                "bundle": found.label,
                "precision": found.manifest.precision,
                "speed": rows,
                "agreement": [agreed(found, side, args) for side in found.sides("litert")],
            }
        )
    return figures


def agreed(found: Bundle, side: int, args: argparse.Namespace) -> dict[str, Any]:
    """Masks of both backends at one side."""
    cases = prompts(args.data, args.prompts)
    return {"side": side, **agreement(found, BACKENDS, side, cases).figures()}


def _checked(name: str) -> Bundle:
    found = find(name)
    if missing := set(BACKENDS) - set(found.backends):
        raise ConfigError(
            f"bundle {found.label}: has no engines for {', '.join(missing)}. "
            "`edgesam-engines add-litert BUNDLE --photos DIR` adds those of LiteRT."
        )
    return found


def _run(args: argparse.Namespace) -> int:
    litert = package_version("ai_edge_litert")
    recorder = report.Recorder("backends", "benchmarks.backends", args, ai_edge_litert=litert)
    recorder.finish(measure_all(args))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.backends",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--bundle", nargs="+", default=[DEFAULT], metavar="NAME|PATH", help="INT8 one, float twin"
    )
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--repeats", type=int, default=50, metavar="N")
    p.add_argument("--prompts", type=int, default=200, metavar="N", help="that must agree")
    p.add_argument("--data", type=Path, default=DATA, help=f"folder that holds {PHOTOS}")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
