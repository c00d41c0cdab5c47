"""Bundles of the published families: time against upstream's own export, and INT8 against float.

- speed: each bundle's encoder and one decoder call with 64 points, in turns with the ONNX files
  given by `--upstream` (encoders as the authors' code exports them, input (1, 3, S, S) float32);
- agreement: cosine of the embedding and mask IoU of the first bundle (float) with the others.

The weights of these families are others' and seeded ones do here: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import edgesam_rt as es
from benchmarks import report
from edgesam_rt.api import Segmenter
from edgesam_rt.bench import measure
from edgesam_rt.bench.agreement import mask_ious
from edgesam_rt.bench.cases import picture, points
from edgesam_rt.bench.measure import series
from edgesam_rt.cli.exits import run_command
from edgesam_rt.imaging.files import is_picture_name, read_image
from edgesam_rt.proof import probes
from edgesam_rt.selftest import cosine

MANY = 64
WARM_UP = 1


def foreign(path: Path, threads: int) -> measure.Work:
    """A run of an encoder that others exported."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return partial(session.run, None, {given.name: np.zeros(given.shape, np.float32)})


def speed(opened: dict[str, Segmenter], args: argparse.Namespace) -> dict[str, Any]:
    """Median and other figures in ms, by bundle and by file, all in turns."""
    works: dict[str, measure.Work] = {p.name: foreign(p, args.threads) for p in args.upstream}
    pixels, many = picture(), points(MANY)
    for label, one in opened.items():
        works[f"{label}, encoder"] = partial(one.encode, pixels)
        if args.points:
            works[f"{label}, {MANY} points"] = partial(one.predict, one.encode(pixels), many)
    times = measure.interleave(works, warm_up=WARM_UP, repeats=args.repeats)
    return {name: series(found.wall) for name, found in times.items()}


def agreement(reference: Segmenter, other: Segmenter, photos: Sequence[Path]) -> dict[str, Any]:
    """How near the answers of one bundle are to those of another."""
    cosines, ious = [], []
    for path in photos:
        pixels = read_image(path)
        want, got = (one.encode(pixels) for one in (reference, other))
        name = next(iter(want.tensors))
        cosines.append(cosine(want.tensors[name], got.tensors[name]))
        prompts = probes(pixels)
        pairs = zip(reference.predict(want, prompts), other.predict(got, prompts), strict=True)
        ious += [iou for pair in pairs for iou in mask_ious(*pair)]
    return {
        "photos": len(photos),
        "prompts": len(ious),
        "embedding_cosine": round(float(np.mean(cosines)), 5),
        "mean_iou": round(float(np.mean(ious)), 4),
    }


def measure_all(args: argparse.Namespace) -> dict[str, Any]:
    """Speed first, then agreement."""
    photos = sorted(p for p in args.photos.iterdir() if is_picture_name(p))[: args.most]
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(es.open(name, backend="onnxruntime", threads=args.threads))
            for name in args.bundle
        }
        figures: dict[str, Any] = {"threads": args.threads, "speed_ms": speed(opened, args)}
        first, *others = opened
        figures["agreement"] = {
            name: agreement(opened[first], opened[name], photos) for name in others
        }
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.families",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", nargs="+", required=True, metavar="PATH", help="float first")
    p.add_argument("--upstream", nargs="*", type=Path, default=[], metavar="ONNX")
    p.add_argument("--photos", type=Path, default=Path("demo/photos"), metavar="DIR")
    p.add_argument("--most", type=int, default=4, metavar="N", help="photos to agree on")
    p.add_argument("--points", action="store_true", help=f"also time {MANY} points")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=5, metavar="N")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    return run_command(lambda: _run(p.parse_args(argv)))


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("families", "benchmarks.families", args, onnxruntime=ort.__version__)
    recorder.finish(measure_all(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
