"""What the decoder is asked about a picture, and which of its answers are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder
from edgesam_rt.tracking import rivals
from edgesam_rt.tracking.appearance import pooled, scores
from edgesam_rt.tracking.cells import Cells
from edgesam_rt.tracking.place import Place, chances, find_places, nearness
from edgesam_rt.tracking.track import Sighting, Track
from edgesam_rt.types import F32

SEARCHED = 3  # places at which a lost object is looked for in one picture


class Question(NamedTuple):
    """What is asked about a track; `place` is None for its first prompt."""

    track: Track
    prompt: Prompt
    place: Place | None


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of one batch, N of them.

    Attributes:
        tracks: (N,) which object each is about; no object stands twice.
        masks: N masks.
        inside: (N, rows, columns) share of every cell that they cover.
        seen: (N,) what they are worth.
    """

    tracks: list[Track]
    masks: MaskSet
    inside: F32
    seen: list[Sighting]


def questions(
    tracks: Sequence[Track], cells: Cells, facts: DecoderFacts, frame_id: int, *, may_search: bool
) -> list[Question]:
    """Where to ask about which objects; not about those that are nowhere likely.

    Args:
        tracks: objects; those never seen are asked for with their own prompts.
        cells: of the picture.
        facts: of the decoder.
        frame_id: of the picture.
        may_search: whether objects that are lost are looked for.
    """
    new = [Question(t, t.prompt, None) for t in tracks if t.looks is None]
    known = [t for t in tracks if t.looks is not None and (may_search or not t.is_lost)]
    asked = [
        Question(track, place.prompt, place)
        for track, likely in zip(known, _likely(known, cells, frame_id), strict=True)
        for place in find_places(likely, cells, facts, SEARCHED if track.is_lost else 1)
    ]
    return new + asked


def _likely(known: Sequence[Track], cells: Cells, frame_id: int) -> F32:
    """(K, rows, columns) how likely every cell is each object's, by its looks and its way here."""
    if not known:
        return np.zeros((0, *cells.hw), np.float32)
    likely = chances(scores(cells, [t.looks.token for t in known if t.looks is not None]))
    for each, track in zip(likely, known, strict=True):
        frames = max(1, frame_id - track.seen_frame_id)
        each *= nearness(cells, track.box_xyxy * _size(cells.fit.image_hw), frames)
    return rivals.contested(likely, rivals.rivalry(known))


def ask(decoder: Decoder, embedding: Embedding, cells: Cells, asked: Sequence[Question]) -> Answers:
    """Ask everything in one batch, and take at most one answer per object.

    Raises:
        PromptError: an object's own prompt means nothing on this picture.
    """
    masks = decoder.predict(embedding, [q.prompt for q in asked])
    inside = cells.shares(masks.low_res_logits, masks.mask_threshold)
    seen = _sightings(asked, masks, inside, cells)
    taken = _best_of_each(asked, seen, cells)
    compete = rivals.rivalry([asked[i].track for i in taken])
    beaten = rivals.beaten(inside[taken], [seen[i] for i in taken], compete)
    kept = [i for i, is_beaten in zip(taken, beaten, strict=True) if not is_beaten]
    return _parted(
        [asked[i].track for i in kept], masks[np.array(kept, np.int64)], seen, kept, cells
    )


def _best_of_each(asked: Sequence[Question], seen: Sequence[Sighting], cells: Cells) -> list[int]:
    """Which answers are accepted: of each object the one with most to speak for it."""
    best: dict[int, int] = {}
    for i, (question, sighting) in enumerate(zip(asked, seen, strict=True)):
        if question.track.accepts(sighting, cells.mean):
            before = best.setdefault(question.track.track_id, i)
            if sighting.evidence > seen[before].evidence:
                best[question.track.track_id] = i
    return list(best.values())


def _parted(
    tracks: list[Track], masks: MaskSet, seen: Sequence[Sighting], kept: Sequence[int], cells: Cells
) -> Answers:
    """The answers that are left, each pixel with one of the rivals."""
    compete = rivals.rivalry(tracks)
    logits = rivals.parted(masks.low_res_logits, compete, masks.mask_threshold)
    inside = cells.shares(logits, masks.mask_threshold)
    return Answers(tracks, replace(masks, low_res_logits=logits), inside, [seen[i] for i in kept])


def _sightings(
    asked: Sequence[Question], masks: MaskSet, inside: F32, cells: Cells
) -> list[Sighting]:
    """What the answers are worth; an object's own prompt is always right about place and looks."""
    upscaled = Upscaled(masks.low_res_logits, masks.fit)
    boxes = upscaled.boxes(masks.mask_threshold) / _size(masks.image_hw)
    areas = upscaled.counts(masks.mask_threshold) / (masks.image_hw[0] * masks.image_hw[1])
    return [
        Sighting(
            boxes[i],
            float(areas[i]),
            float(masks.predicted_iou[i]),
            1.0 if place is None else rivals.soft_iou(inside[i], place.likely),
            1.0 if track.looks is None else track.looks.likeness(pooled(cells, inside[i])),
        )
        for i, (track, _, place) in enumerate(asked)
    ]


def _size(image_hw: tuple[int, int]) -> F32:
    """(4,) what shares of a picture are of, for boxes."""
    h, w = image_hw
    return np.array([w, h, w, h], np.float32)
