"""Feature grids of all photos, as the shipped encoder gives them, with the boxes known: a cache.

One file per photo and side: a training reads it many times, the encoder runs once.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesam_engines.detectors.recall import boxes_of_ids
from edgesam_engines.discovery.config import DiscoveryRecipe
from edgesam_engines.discovery.photos import Photo
from edgesam_engines.train.checkpoint import replace_file
from edgesam_engines.train.sources import Labelled, decode
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.detector import Detector
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Encoder, EngineOptions
from edgesam_rt.types import F32

BACKEND, STATED = "onnxruntime", "features.json"
GRID_MULTIPLE = 32  # encoder px: what grids are cut to where the bundle leaves them whole
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What to encode with what, into which folder."""

    bundle: Path
    detector: Path
    out: Path
    recipe: DiscoveryRecipe


@dataclass(frozen=True)
class Stored:
    """One photo at one side, as it lies in the cache.

    Attributes:
        source: folder it came from.
        grid16, grid8: (h8 / 2, w8 / 2, D) and (h8, w8, D) float16, cut to the picture.
        side8: cells of grid8 along the encoder's side.
        labelled: (T, 4) boxes of labelled objects, encoder sides.
        found, score: (K, 4) and (K,) of the detector.
        has_labels: whether anybody labelled this photo.
    """

    source: str
    grid16: NDArray[np.float16]
    grid8: NDArray[np.float16]
    side8: int
    labelled: F32
    found: F32
    score: F32
    has_labels: bool


def read(path: Path) -> Stored:
    """A file of the cache."""
    with np.load(path) as data:
        return Stored(
            source=path.name.split("__")[0],
            grid16=data["grid16"],
            grid8=data["grid8"],
            side8=int(data["side8"]),
            labelled=data["labelled"],
            found=data["found"],
            score=data["score"],
            has_labels=bool(data["has_labels"]),
        )


def path_of(out: Path, photo: Photo, side: int) -> Path:
    """Where a photo's features at a side lie."""
    part = "validation" if photo.kept_apart else "train"
    return out / part / f"{photo.name}__{side}.npz"


def make(job: Job, photos: Sequence[Photo], workers: int) -> None:
    """Encode all photos that are not there yet; can be stopped and started again.

    Raises:
        ConfigError: the folder holds features of another bundle, detector or kind of truth.
    """
    _state(job)
    missing = [
        p for p in photos if not all(path_of(job.out, p, s).exists() for s in _sides(job, p))
    ]
    log.info("%d photos, %d to encode", len(photos), len(missing))
    if workers <= 1:
        _encode(job, missing)
        return
    context = multiprocessing.get_context("spawn")
    parts = [(job, missing[i::workers]) for i in range(workers)]
    with context.Pool(workers) as pool:
        pool.starmap(_encode, parts)


def _sides(job: Job, photo: Photo) -> list[int]:
    rules = job.recipe.features
    return [rules.side, *([rules.small_side] if photo.small_too else [])]


def _state(job: Job) -> None:
    """Write down what the features are made with, or check that it is the same."""
    bundle, detector = bundles.load(job.bundle), bundles.load_detector(job.detector)
    stated: dict[str, Any] = {
        "encoders": sorted(e.sha256 for e in bundle.manifest.engines if e.part == "encoder"),
        "detector": sorted(e.sha256 for e in detector.manifest.engines),
        "min_area": job.recipe.features.min_area,
    }
    path = job.out / STATED
    if path.exists() and json.loads(path.read_text("utf-8")) != stated:
        raise ConfigError(
            f"{job.out}: it holds features of another encoder or detector. Name another folder, or "
            "delete this one."
        )
    for part in ("train", "validation"):
        (job.out / part).mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stated, indent=1) + "\n", "utf-8")


def _encode(job: Job, photos: Sequence[Photo]) -> None:
    cv2.setNumThreads(1)
    bundle, found = bundles.load(job.bundle), bundles.load_detector(job.detector)
    maker = Maker(bundle, found, job.recipe)
    for photo in photos:
        content = decode(photo.entry)
        for side, arrays in maker.features(photo, content, _sides(job, photo)):
            replace_file(path_of(job.out, photo, side), lambda p, a=arrays: _save(p, a))  # type: ignore[misc]
    maker.close()


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


class Maker:
    """Encoders and the detector, one thread each."""

    def __init__(self, bundle: Bundle, detector: DetectorBundle, recipe: DiscoveryRecipe) -> None:
        options = EngineOptions(BACKEND)
        rules = recipe.features
        self._min_area = rules.min_area
        sides = {rules.side, rules.small_side}
        self._encoders = {side: Encoder(bundle, options, side) for side in sides}
        self._detector = Detector(detector, options)

    def features(
        self, photo: Photo, content: Labelled, sides: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What is stored of a photo at each side."""
        found = self._detector.detect(content.image)
        labelled = boxes_of(content, self._min_area) if photo.boxes is None else photo.boxes
        for side in sides:
            embedding = self._encoders[side].encode(content.image)
            grid16, grid8 = grids(embedding)
            arrays = {
                "grid16": grid16.astype(np.float16),
                "grid8": grid8.astype(np.float16),
                "side8": side // 8,
                "labelled": to_unit(embedding.fit, labelled),
                "found": to_unit(embedding.fit, found.xyxy),
                "score": found.score.astype(np.float32),
                "has_labels": photo.entry.ids is not None or photo.boxes is not None,
            }
            yield side, arrays

    def close(self) -> None:
        """Give the engines back."""
        self._detector.close()
        for encoder in self._encoders.values():
            encoder.close()


def boxes_of(content: Labelled, min_area: int) -> F32:
    """(T, 4) tight boxes of the labelled objects that are large enough, px."""
    ids, areas = np.unique(content.ids, return_counts=True)
    kept = np.isin(ids, ids[areas >= min_area]) & (ids > 0)
    boxes = boxes_of_ids(content.ids)
    return boxes[kept[ids > 0]]


def to_unit(fit: Fit, boxes: F32) -> F32:
    """(K, 4) boxes in px to encoder sides."""
    return fit.to_unit(boxes.reshape(-1, 2, 2)).reshape(-1, 4).astype(np.float32)


def grids(embedding: Embedding) -> tuple[F32, F32]:
    """grid16 by rows and columns, and grid8, both cut to the picture."""
    grid8 = embedding.tensors["grid8"]
    h, w = grid8.shape[:2]
    grid16 = embedding.tensors["grid16"].reshape(h // 2, w // 2, -1)
    rows, columns = (n // 8 for n in embedding.fit.covered(GRID_MULTIPLE))
    return grid16[: rows // 2, : columns // 2], grid8[:rows, :columns]
