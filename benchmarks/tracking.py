"""Following an object through clips that have its true mask in every frame (DAVIS).

J of a clip is the mean IoU with the truth over all frames after the first; where the object is not
in the frame, an empty mask counts 1 and any other 0, as DAVIS counts. All ways of following see
the same embeddings:

- **track**: `--mode track`, prompted with the tight box of the first true mask;
- **track, point**: the same, prompted with the pixel deepest inside that mask;
- **box propagation**: the box of the last mask is the next prompt, and nothing else;
- **true box**: the tight box of every frame's true mask: what the decoder makes of perfect places.

Times are of the tracker alone, decoder included, encoder not, on the first clip's first frame over
and over, so that all objects stay in sight: the best masks that everything mode finds there. Set
OPENBLAS_NUM_THREADS=1, as `edgesam-run` does for itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import report
from benchmarks.accuracy import CLIPS, DATA
from benchmarks.clips import clip_of, frames, mask_folders
from edgesam_rt.bench.measure import Times
from edgesam_rt.bench.protocols import deepest, iou, tight_box
from edgesam_rt.bundle import DEFAULT
from edgesam_rt.cli.blas import THREADS
from edgesam_rt.cli.exits import run_command
from edgesam_rt.decoders import asking
from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.everything.strategies import Request, everything
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.tracking.tracker import Moment, Tracker
from edgesam_rt.types import Bool

COUNTS = (1, 4, 16)  # objects at once, for times
FRAME_NS = 40_000_000
WARM_UP, REPEATS = 5, 100  # frames of the times


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip, encoded once.

    Attributes:
        name: of the file.
        embeddings: one per frame.
        truths: (H, W) true masks, one per frame.
    """

    name: str
    embeddings: Sequence[Embedding]
    truths: Sequence[Bool]


@dataclass(frozen=True, eq=False)
class Engines:
    """What every way of following uses."""

    decoder: Decoder
    reader: CellReader


Way = Callable[[Engines, Clip], Iterator[MaskSet]]


def track(engines: Engines, clip: Clip, prompts: Sequence[Prompt]) -> Iterator[MaskSet]:
    """Follow objects from the first frame on."""
    tracker = Tracker()
    for prompt in prompts:
        tracker.add(prompt)
    for i, embedding in enumerate(clip.embeddings):
        cells = engines.reader.read(embedding)
        yield tracker.update(engines.decoder, embedding, cells, Moment(i, i * FRAME_NS))


def track_box(engines: Engines, clip: Clip) -> Iterator[MaskSet]:
    """Follow what the first true mask's box names."""
    return track(engines, clip, [tight_box(clip.truths[0])])


def track_point(engines: Engines, clip: Clip) -> Iterator[MaskSet]:
    """Follow what the first true mask's deepest pixel names."""
    return track(engines, clip, [Prompt.point(*deepest(clip.truths[0])[:2])])


def propagate_box(engines: Engines, clip: Clip) -> Iterator[MaskSet]:
    """Ask with the box of the last mask; with the one before if that was empty."""
    prompt = tight_box(clip.truths[0])
    for embedding in clip.embeddings:
        found = engines.decoder.predict(embedding, [prompt])
        if found.areas[0]:
            prompt = Prompt.box(*found.boxes_xyxy[0].tolist())
        yield found


def true_box(engines: Engines, clip: Clip) -> Iterator[MaskSet]:
    """Ask with the tight box of every frame's truth."""
    for embedding, truth in zip(clip.embeddings, clip.truths, strict=True):
        asked = [tight_box(truth)] if truth.any() else []
        yield engines.decoder.predict(embedding, asked)


WAYS: dict[str, Way] = {
    "track": track_box,
    "track, point": track_point,
    "box propagation": propagate_box,
    "true box": true_box,
}


def judge(clip: Clip, found: Iterator[MaskSet]) -> dict[str, float]:
    """J of a clip, and the share of its frames in which the object was lost."""
    scores, empty = [], []
    for masks, truth in zip(found, clip.truths, strict=True):
        mask: Bool = np.asarray(masks.masks.any(0))
        empty.append(not mask.any())
        scores.append(iou(mask, truth) if truth.any() else float(not mask.any()))
    return {"j": round(float(np.mean(scores[1:])), 4), "empty": round(float(np.mean(empty)), 4)}


def times(engines: Engines, clip: Clip, prompts: Sequence[Prompt], count: int) -> dict[str, object]:
    """Milliseconds per frame for so many objects."""
    frames_seen = WARM_UP + REPEATS
    still = Clip(clip.name, [clip.embeddings[0]] * frames_seen, [clip.truths[0]] * frames_seen)
    measured, tracked = Times(), []
    following = track(engines, still, prompts[:count])
    for _ in range(frames_seen):
        found = measured.run(lambda: next(following))
        tracked.append(sum(t.state != "lost" for t in found.tracks))
    kept = Times(measured.wall[WARM_UP:], measured.cpu[WARM_UP:])
    seen = round(float(np.mean(tracked)), 2)
    return {"objects": len(prompts[:count]), "seen": seen, **kept.figures()}


def best_objects(engines: Engines, clip: Clip, facts: EverythingFacts) -> list[Prompt]:
    """Boxes of everything mode's best masks in a clip's first frame."""
    found = everything("grid", Request(engines.decoder, clip.embeddings[0], facts))
    return [Prompt.box(*box) for box in found.boxes_xyxy[: max(COUNTS)].tolist()]


def read_clips(folder: Path, engines: EngineSet, limit: int | None) -> Iterator[Clip]:
    """Encode the clips, one after the other."""
    encoder = engines.open_encoder(engines.sides[0])
    for masks in mask_folders(folder)[:limit]:
        both = [(encoder.encode(pixels), ids > 0) for pixels, ids in frames(masks)]
        yield Clip(clip_of(masks).stem, [e for e, _ in both], [t for _, t in both])
    encoder.close()


def measure(opened: EngineSet, folder: Path, limit: int | None) -> dict[str, object]:
    """All ways on all clips, and times on the first."""
    reader = CellReader.of(opened.bundle, opened.options.backend, opened.sides[0])
    engines = Engines(asking(opened.open_decoder(), "tracking"), reader)
    rows: list[dict[str, object]] = []
    timed: list[dict[str, object]] = []
    clips = read_clips(folder, opened, limit)
    for clip in tqdm(clips, file=sys.stderr, mininterval=1.0):
        found = {name: judge(clip, way(engines, clip)) for name, way in WAYS.items()}
        rows.append({"clip": clip.name, "frames": len(clip.truths), "ways": found})
        if not timed:
            prompts = best_objects(engines, clip, opened.bundle.manifest.everything)
            timed = [times(engines, clip, prompts, n) for n in COUNTS]
    engines.decoder.close()
    return {
        "bundle": opened.bundle.label,
        "backend": opened.options.backend,
        "side": opened.sides[0],
        "threads": opened.options.backend_options.threads,
        "blas_threads": os.environ.get(THREADS, "all"),
        "clips": rows,
        "mean_j": {name: _mean_j(rows, name) for name in WAYS},
        "times": timed,
    }


def _mean_j(rows: Sequence[dict[str, object]], way: str) -> float:
    return round(float(np.mean([row["ways"][way]["j"] for row in rows])), 4)  # type: ignore[index]


def _run(args: argparse.Namespace) -> int:
    import cv2

    cv2.setNumThreads(args.threads)
    recorder = report.Recorder("tracking", "benchmarks.tracking", args)
    opened = resolve(
        board="cpu",
        bundle_name=args.bundle,
        backend=args.backend,
        encoder_side=args.side,
        threads=args.threads,
    )
    opened.trust_all()
    recorder.finish(measure(opened, args.data / CLIPS, args.clips))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.tracking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", default=DEFAULT, metavar="NAME|PATH")
    p.add_argument("--backend", default="onnxruntime")
    p.add_argument("--side", type=int, default=512, help="of the encoder, px; default: 512")
    p.add_argument("--clips", type=int, metavar="N", help="only the first N, for a quick look")
    p.add_argument("--data", type=Path, default=DATA, help="folder that holds clips")
    p.add_argument("--threads", type=int, default=1, help="of the engines; default: 1")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
