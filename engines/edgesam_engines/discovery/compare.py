"""The head and a detector on the same photos: box recall, and milliseconds per picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edgesam_engines.discovery.config import DiscoveryRecipe
from edgesam_engines.discovery.features import BACKEND, boxes_of
from edgesam_engines.discovery.head import multiply_adds
from edgesam_engines.discovery.photos import Photo
from edgesam_engines.discovery.recalls import Recalls
from edgesam_engines.train.sources import Labelled, decode
from edgesam_rt import bundle as bundles
from edgesam_rt.backends import BackendOptions
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.clock import CLOCK, elapsed_ms
from edgesam_rt.detector import Detector
from edgesam_rt.discovery import Discovery
from edgesam_rt.segmenter import Encoder, EngineOptions

THREADS = (1, 2)
_TIMED, _WARM = 24, 3


@dataclass(frozen=True)
class Sides:
    """What is compared."""

    bundle: Bundle
    detector: DetectorBundle
    recipe: DiscoveryRecipe


def compare(bundle: Path, detector: Path, recipe: DiscoveryRecipe, kept: Sequence[Photo]) -> Any:
    """Compare on the photos kept apart.

    Returns:
        Plain data: recall of both at every encoder side, times with every number of threads.
    """
    sides = Sides(bundles.load(bundle), bundles.load_detector(detector), recipe)
    labelled = [p for p in kept if p.kept_apart]
    encoder_sides = sides.bundle.sides(BACKEND)
    head = recipe.head
    return {
        "bundle": sides.bundle.label,
        "detector": sides.detector.label,
        "facts": {
            "discovery": _plain(sides.bundle.manifest.discovery),
            "detector": _plain(sides.detector.manifest.detector),
        },
        "multiply_adds_m": {
            f"{side}x{side * 3 // 4}": round(
                multiply_adds(head.width, head.blocks, side * 3 // 32, side // 8) / 1e6, 1
            )
            for side in encoder_sides
        },
        "photos": len(labelled),
        "recall": _recall(sides, labelled, encoder_sides),
        "ms_per_picture": {
            f"threads_{n}": _times(sides, labelled[:: max(1, len(labelled) // _TIMED)], n)
            for n in THREADS
        },
    }


def _plain(facts: Any) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in ("score_thresh", "nms_thresh", "max_boxes")}


def _recall(sides: Sides, photos: Sequence[Photo], encoder_sides: Sequence[int]) -> dict[str, Any]:
    options = EngineOptions(BACKEND)
    detector, discovery = Detector(sides.detector, options), Discovery(sides.bundle, options)
    encoders = {side: Encoder(sides.bundle, options, side) for side in encoder_sides}
    rules = sides.recipe.features
    recalls = {name: Recalls() for name in ("detector", *(f"discovery_{s}" for s in encoders))}
    for photo in photos:
        content = decode(photo.entry)
        wanted = boxes_of(content, rules.min_area)
        if not len(wanted):
            continue
        source, pixels = photo.entry.source, content.image
        recalls["detector"].add(source, wanted, detector.detect(pixels).xyxy)
        for side, encoder in encoders.items():
            found = discovery.find(encoder.encode(pixels))
            recalls[f"discovery_{side}"].add(source, wanted, found.xyxy)
    detector.close()
    discovery.close()
    for encoder in encoders.values():
        encoder.close()
    return {name: found.report(rules.all_of) for name, found in recalls.items()}


def _times(sides: Sides, photos: Sequence[Photo], threads: int) -> dict[str, float]:
    """Median milliseconds; the head's time is what it adds to an embedding that is there."""
    cv2.setNumThreads(threads)
    options = EngineOptions(BACKEND, BackendOptions(threads=threads))
    detector, discovery = Detector(sides.detector, options), Discovery(sides.bundle, options)
    contents = [decode(p.entry) for p in photos]
    made = {"detector": _median(lambda c: detector.detect(c.image), contents)}
    for side in sides.bundle.sides(BACKEND):
        encoder = Encoder(sides.bundle, options, side)
        made[f"encoder_{side}"] = _median(lambda c, e=encoder: e.encode(c.image), contents)  # type: ignore[misc]
        embeddings = [encoder.encode(c.image) for c in contents]
        made[f"discovery_{side}"] = _median(discovery.find, embeddings)
        encoder.close()
    detector.close()
    discovery.close()
    return made


def _median(work: Callable[[Any], object], things: Sequence[Labelled] | Sequence[Any]) -> float:
    times = []
    for thing in (*things[:_WARM], *things):
        started = CLOCK.now_ns()
        work(thing)
        times.append(elapsed_ms(started))
    return round(statistics.median(times[_WARM:]), 2)
