"""Everything mode: is it right, how fast, how good, how punctual, how large.

- oracle: `grid` against SAM's generator written plainly, on the same engines, end to end;
- times: encoder and each strategy on one photo of 640x480;
- recall: AR@10, AR@100, AR@1000 of each strategy over coco-val (pycocotools, class-agnostic);
- deadlines: AR@100 at shares of each photo's full time, and how late the result came;
- memory: peaks with large pictures and with nothing in them, a process each.

Strategies that the runtime does not know are named in the result as missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from benchmarks import report
from benchmarks.everything import memory, oracle, quality, strategies, times
from edgesam_rt.api import Segmenter
from edgesam_rt.bundle import DEFAULT
from edgesam_rt.cli.exits import run_command
from edgesam_rt.engines import EngineSet, resolve

DATA = Path("../shared/data")
PARTS = ("oracle", "times", "recall", "deadlines", "memory")


def measure(args: argparse.Namespace) -> dict[str, object]:
    """All parts that were asked for, one after the other."""

    def engines(threads: int) -> EngineSet:
        cv2.setNumThreads(threads)
        return resolve(
            bundle_name=args.bundle,
            encoder_side=args.side,
            threads=threads,
            detector_name=args.detector,
        )

    def opened(threads: int) -> Segmenter:
        return Segmenter(engines(threads))

    with opened(args.threads[0]) as seg:
        absent = strategies.missing(seg)
        figures: dict[str, object] = {
            "bundle": seg.bundle,
            "backend": seg.backend,
            "side": seg.encoder_side,
            "threads": args.threads[-1],
            "unknown": absent,
        }
    most = args.threads[-1]

    def in_full() -> dict[str, object]:
        with opened(most) as seg:
            return quality.in_full(seg, args.data, args.photos)

    def with_deadlines() -> dict[str, object]:
        with opened(most) as seg:
            return quality.with_deadlines(seg, args.data, args.photos)

    few = min(args.oracle_photos, args.photos or args.oracle_photos)
    named = strategies.known(absent)
    works: dict[str, Callable[[], dict[str, object]]] = {
        "oracle": lambda: oracle.measure(engines(most), args.data, few),
        "times": lambda: times.of_strategies(opened, args.data, args.threads, args.repeats),
        "recall": in_full,
        "deadlines": with_deadlines,
        "memory": lambda: memory.measure(args.bundle, most, args.data, named),
    }
    for part in PARTS:
        if part in (args.part or PARTS):
            sys.stderr.write(f"{part} ...\n")
            figures[part] = works[part]()
    return figures


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("everything", "benchmarks.everything", args)
    recorder.finish(measure(args))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.everything",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", default=DEFAULT, metavar="NAME|PATH")
    p.add_argument("--detector", metavar="NAME|PATH|own", help="of objects; default: the bundled")
    p.add_argument("--side", type=int, help="of the encoder, px; default: the board's")
    p.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all")
    p.add_argument("--photos", type=int, metavar="N", help="only the first N of coco-val")
    p.add_argument("--oracle-photos", type=int, default=10, metavar="N", help="it is slow")
    p.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="of times; the rest has the last"
    )
    p.add_argument("--repeats", type=int, default=30, metavar="N", help="of times")
    p.add_argument("--data", type=Path, default=DATA, help="folder that holds coco-val")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
