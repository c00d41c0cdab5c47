"""Objects that were prompted once, followed from picture to picture."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesam_rt.prompt_feeds import low_res_hw
from edgesam_rt.records import Embedding, MaskSet, Prompt, TrackStatus
from edgesam_rt.segmenter import Decoder
from edgesam_rt.tracking import rivals
from edgesam_rt.tracking.appearance import moments
from edgesam_rt.tracking.asking import Answers, ask, questions
from edgesam_rt.tracking.cells import Cells
from edgesam_rt.tracking.place import OUTSIDE
from edgesam_rt.tracking.track import Track


@dataclass(frozen=True)
class Moment:
    """Which picture it is.

    Attributes:
        frame_id: as in Frame: gaps are lost frames, over which objects may have moved farther.
        now_ns: monotonic time at which it was taken.
        may_search: whether there is time to look for objects that were lost.
    """

    frame_id: int
    now_ns: int
    may_search: bool = True


class Tracker:
    """Follows objects; `update` belongs to one thread, `add` and `remove` to any."""

    def __init__(self) -> None:
        """No objects yet."""
        self._lock = threading.Lock()
        self._tracks: dict[int, Track] = {}
        self._last_id = 0

    def add(self, prompt: Prompt, *, at_least: int = 1) -> int:
        """Follow one more object, from the next picture on.

        Args:
            prompt: about the object, in pixels of that picture.
            at_least: leave smaller ids out.

        Returns:
            Its track_id: 1, 2, 3, …; never used again.
        """
        with self._lock:
            self._last_id = max(self._last_id + 1, at_least)
            self._tracks[self._last_id] = Track(self._last_id, prompt)
            return self._last_id

    def begin_anew(self, track_id: int, prompt: Prompt) -> int:
        """Forget how an object looks, and follow what is prompted, under its id and in its place.

        Args:
            track_id: of the object.
            prompt: about it, in pixels of the next picture.

        Returns:
            The same id.
        """
        with self._lock:
            self._tracks[track_id] = Track(track_id, prompt)
            return track_id

    def remove(self, track_id: int) -> bool:
        """Follow an object no longer, from the next picture on; False if there is none."""
        with self._lock:
            return self._tracks.pop(track_id, None) is not None

    @property
    def track_ids(self) -> tuple[int, ...]:
        """The objects that are followed, in the order in which they were added."""
        with self._lock:
            return tuple(self._tracks)

    def update(
        self, decoder: Decoder, embedding: Embedding, cells: Cells, moment: Moment
    ) -> MaskSet:
        """Find the objects in the next picture.

        Args:
            decoder: of the embedding's bundle.
            embedding: of the picture; size and encoder side may differ from the last one's.
            cells: of the embedding.
            moment: see there.

        Returns:
            One mask per object, in the order of `track_ids`, with `tracks`; empty masks for lost
            objects.

        Raises:
            PromptError: the prompt of a new object means nothing on this picture.
        """
        with self._lock:
            tracks = list(self._tracks.values())
        asked = questions(
            tracks, cells, decoder.facts, moment.frame_id, may_search=moment.may_search
        )
        answers = ask(decoder, embedding, cells, asked)
        status = _noted(tracks, answers, cells, moment)
        return _in_order(tracks, answers, decoder, status)


def _noted(
    tracks: Sequence[Track], answers: Answers, cells: Cells, moment: Moment
) -> tuple[TrackStatus, ...]:
    """Take note of what was seen and of what was not; say how it stands with every object."""
    _learn(answers, cells, moment.frame_id)
    seen = {t.track_id: s for t, s in zip(answers.tracks, answers.seen, strict=True)}
    status = []
    for track in tracks:
        if track.track_id in seen:
            sighting = seen[track.track_id]
            state = track.see(sighting, cells.mean, moment.frame_id, moment.now_ns)
        else:
            state = track.miss(moment.frame_id, moment.now_ns)
        status.append(track.status(state, moment.now_ns, cells.fit.image_hw))
    return tuple(status)


def _learn(answers: Answers, cells: Cells, frame_id: int) -> None:
    """Learn how objects look: when one is first seen, then now and then if it is surely it."""
    every = list(zip(answers.tracks, answers.inside, answers.seen, strict=True))
    for track, inside, sighting in every:
        if track.looks is None:
            rivals.note_shared(track, inside, [(t, i) for t, i, _ in every if t is not track])
        elif not (track.is_due(frame_id) and track.is_sure(sighting)):
            continue
        track.learn(moments(cells, inside), frame_id)


def _in_order(
    tracks: Sequence[Track], answers: Answers, decoder: Decoder, status: tuple[TrackStatus, ...]
) -> MaskSet:
    """One mask per object; empty ones for those that were not seen."""
    found, facts = answers.masks, decoder.facts
    rows = {track.track_id: i for i, track in enumerate(answers.tracks)}
    shape = (len(tracks), *low_res_hw(found.fit, facts))
    logits = np.full(shape, facts.mask_threshold + OUTSIDE, np.float32)
    predicted_iou = np.zeros(len(tracks), np.float32)
    for k, track in enumerate(tracks):
        if track.track_id in rows:
            logits[k] = found.low_res_logits[rows[track.track_id]]
            predicted_iou[k] = found.predicted_iou[rows[track.track_id]]
    return MaskSet(logits, predicted_iou, found.fit, facts.mask_threshold, tracks=status)
