"""Mask IoU of a bundle on photos with true masks, by the protocols of `protocols.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from edgesam_rt.api import Segmenter
from edgesam_rt.bench.coco import ANNOTATIONS, CocoFolder
from edgesam_rt.bench.protocols import ObjectScore, judge, summary
from edgesam_rt.bench.report import Accuracy
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.types import U8, Bool


def measure(
    sets: Mapping[int, EngineSet], photos: CocoFolder, progress: Callable[[int], None]
) -> Accuracy:
    """Judge one engine set per encoder side on all photos, one photo at a time.

    Args:
        sets: by encoder side.
        photos: with true masks.
        progress: told how many photos are done.

    Raises:
        ConfigError: no photo has an object.
    """
    opened = {side: Segmenter(one) for side, one in sets.items()}
    scores: dict[int, list[ObjectScore]] = {side: [] for side in sets}
    used = 0
    try:
        for done, photo in enumerate(photos):
            progress(done)
            used += bool(photo.objects)
            for side, one in opened.items():
                choices = sets[side].bundle.manifest.decoder.ambiguous_answers
                scores[side] += _judged(one, photo.pixels, photo.objects, choices)
    finally:
        for one in opened.values():
            one.close()
    if not used:
        raise ConfigError(f"{photos.folder}: none of the photos has an object.")
    return Accuracy(
        photos=used,
        objects=len(next(iter(scores.values()))),
        annotations_sha256=hashlib.sha256((photos.folder / ANNOTATIONS).read_bytes()).hexdigest(),
        miou={str(side): summary(found) for side, found in scores.items()},
    )


def _judged(
    one: Segmenter, pixels: U8, objects: list[Bool], choices: tuple[int, ...]
) -> list[ObjectScore]:
    if not objects:
        return []
    embedding = one.encode(pixels)

    def answer(prompts: Sequence[Prompt], *, multimask_output: bool = False) -> list[MaskSet]:
        return one.predict(embedding, prompts, multimask_output=multimask_output)

    return judge(answer, objects, choices)
