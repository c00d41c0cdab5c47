"""Mask IoU of bundles by three protocols, all bundles on the same photos in one run.

The photos are `coco-val`, or with `--on clips` frames of the clips that have masks (DAVIS).

It asks through the runtime's own `encode` and `predict`, so the preprocessing is the shipped one.
The float model in torch is measured by `python -m edgesam_engines.evaluate`, in the same form.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

import edgesam_rt as es
from benchmarks import report
from benchmarks.clips import MaskedClips
from edgesam_rt import bundle as bundles
from edgesam_rt.api import Segmenter
from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.bench.protocols import Contestant, ObjectScore, difference, judge, summary
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError
from edgesam_rt.types import U8

DATA = Path("../shared/data")
PHOTOS = "coco-val"
CLIPS = "clips"
SIDES = (512, 384)  # of the encoders that ship


def contestant(bundle: str, side: int | None, threads: int) -> Contestant:
    """Open a bundle; the process's end closes it."""
    segmenter = es.open(bundle, encoder_side=side, threads=threads)
    manifest = bundles.find(bundle).manifest
    return Contestant(
        f"{manifest.name} at {segmenter.encoder_side}",
        partial(_look, segmenter),
        manifest.decoder.ambiguous_answers,
        {
            "bundle": segmenter.bundle,
            "precision": manifest.precision,
            "side": segmenter.encoder_side,
            "backend": segmenter.backend,
            "engines": {e.file: e.sha256[:16] for e in manifest.engines},
        },
    )


def _look(segmenter: Segmenter, pixels: U8) -> partial[list[es.MaskSet]]:
    return partial(segmenter.predict, segmenter.encode(pixels))


def measure(
    contestants: Sequence[Contestant], photos: CocoFolder | MaskedClips
) -> dict[str, object]:
    """Judge all contestants photo by photo; each is compared with the first of its encoder side."""
    scores: list[list[ObjectScore]] = [[] for _ in contestants]
    used = 0
    for photo in tqdm(photos, unit="photo", file=sys.stderr, mininterval=1.0):
        if not photo.objects:
            continue
        used += 1
        for one, list_ in zip(contestants, scores, strict=True):
            list_ += judge(one.predictor(photo.pixels), photo.objects, one.ambiguous_answers)
    if not used:
        raise ConfigError("accuracy: none of the photos has an object.")
    first: dict[object, int] = {}
    rows = []
    for i, (one, list_) in enumerate(zip(contestants, scores, strict=True)):
        reference = first.setdefault(one.facts.get("side"), i)
        row = {"name": one.name, **one.facts, "miou": summary(list_)}
        if reference != i:
            row["compared_with"] = contestants[reference].name
            row["difference"] = difference(list_, scores[reference])
        rows.append(row)
    return {"photos": used, "objects": len(scores[0]), "rows": rows}


def add_arguments(p: argparse.ArgumentParser) -> None:
    """The arguments that every accuracy command has."""
    p.add_argument("--data", type=Path, default=DATA, help="folder that holds coco-val")
    p.add_argument("--photos", type=int, metavar="N", help="only the first N, for a quick look")
    p.add_argument(
        "--side",
        type=int,
        action="append",
        help="of the encoder, px; repeatable; default: 512, 384",
    )
    p.add_argument("--threads", type=int, default=1, help="of the engines; default: 1")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")


def _run(args: argparse.Namespace) -> int:
    import cv2

    cv2.setNumThreads(args.threads)
    on_clips = args.on == CLIPS
    case = "accuracy-clips" if on_clips else "accuracy"
    recorder = report.Recorder(case, "benchmarks.accuracy", args)
    folder = (MaskedClips if on_clips else CocoFolder)(args.data / args.on, args.photos)
    named = args.bundle or [bundles.DEFAULT]
    opened = [contestant(name, side, args.threads) for side in args.side or SIDES for name in named]
    recorder.finish(measure(opened, folder))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    p.add_argument(
        "--bundle",
        action="append",
        metavar="NAME|PATH",
        help="repeatable; the first is what the others of a side are compared with",
    )
    p.add_argument("--on", choices=(PHOTOS, CLIPS), default=PHOTOS, help="which pictures")
    add_arguments(p)
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
