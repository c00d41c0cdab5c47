"""What the runtime costs behind a network that finds instances (FastSAM): choice and masks.

The network's outputs are made up: at side 1024 its 21,504 cells, of which some are sure of one of
so many objects each, and 32 smooth prototypes. The picture is 1920x1080.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import report
from edgesam_rt.bench.measure import repeat
from edgesam_rt.cli.exits import run_command
from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.instances.find import Found, find
from edgesam_rt.instances.masks import InstanceMasks, Part, contains, make
from edgesam_rt.instances.tensors import COEFFICIENTS, PROTOTYPES
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.records import Embedding
from edgesam_rt.types import F32

HW, SIDE, CELLS, DEPTH = (1080, 1920), 1024, 21504, 32
FIRES, POINTS = 10, 64  # cells that are sure of each object; points asked
WARM_UP = 1
FACTS = InstanceFacts(
    score_thresh=0.4, nms_thresh=0.9, max_boxes=300, border_px=20, whole_iou=0.9, chosen_on=""
)


def made_up(objects: int, seed: int = 0) -> Embedding:
    """What a network could say of a picture with so many objects, 40 to 500 px in the square."""
    rng, fit = np.random.default_rng(seed), Fit.longest_side(HW, SIDE)
    boxes, scores = rng.uniform(0, 1000, (CELLS, 4)), rng.uniform(0, 0.01, CELLS)
    sure = rng.choice(CELLS, objects * FIRES, replace=False)
    low = rng.uniform(0, 1, (objects, 2)) * [850, 420]
    ends = np.concatenate(
        [low, low + np.exp(rng.uniform(np.log(40), np.log(500), (objects, 2)))], 1
    )
    boxes[sure] = ends.repeat(FIRES, 0) * rng.normal(1, 0.004, (len(sure), 4))
    scores[sure] = rng.uniform(0.4, 0.98, len(sure))
    rows, columns = (n // 4 for n in fit.covered(4))
    waves = [cv2.resize(rng.normal(size=(18, 32)), (columns, rows)) for _ in range(DEPTH)]
    tensors = {
        BOXES: boxes[None],
        SCORES: scores[None],
        COEFFICIENTS: rng.normal(size=(1, DEPTH, CELLS)),
        PROTOTYPES: np.stack(waves)[None],
    }
    plain = {name: np.ascontiguousarray(v, np.float32) for name, v in tensors.items()}
    return Embedding(plain, fit, "made up", "none")


def masks_of(embedding: Embedding, found: Found, logits: F32) -> InstanceMasks:
    """Instances as masks, one each."""
    parts = tuple((Part(*each),) for each in zip(logits, found.boxes_xyxy, strict=True))
    return InstanceMasks(logits, found.scores, embedding.fit, parts=parts)


def measured(objects: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of each step for one picture."""
    embedding = made_up(objects)
    found = find(embedding, FACTS)
    logits = make(embedding, found)
    points = np.random.default_rng(1).uniform(0, 1, (POINTS, 2)) * HW[::-1]
    asked = points.astype(np.float32)
    works = {
        "choose": lambda: find(embedding, FACTS),
        "low_resolution": lambda: make(embedding, found),
        "to_picture": lambda: masks_of(embedding, found, logits).runs,
        "points": lambda: contains(embedding, found, asked, 0.0),
    }
    times = {name: repeat(work, warm_up=WARM_UP, repeats=repeats) for name, work in works.items()}
    return {
        "sure_cells": objects * FIRES,
        "instances": len(found.scores),
        "logits_mib": round(logits.nbytes / 2**20, 1),
        "wall_ms": {name: taken.figures()["wall_ms"] for name, taken in times.items()},
    }


def _run(args: argparse.Namespace) -> int:
    cv2.setNumThreads(1)
    recorder = report.Recorder("instances", "benchmarks.instances", args)
    recorder.finish({"rows": [measured(objects, args.repeats) for objects in args.objects]})
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.instances", description=__doc__)
    p.add_argument("--objects", type=int, nargs="+", default=[30, 100, 300])
    p.add_argument("--repeats", type=int, default=9)
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
