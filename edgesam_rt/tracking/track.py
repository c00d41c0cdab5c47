"""One object that is followed, and when it counts as seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgesam_rt.records import Prompt, TrackState, TrackStatus
from edgesam_rt.tracking.appearance import Looks, Moments, cosine
from edgesam_rt.types import F32

AREA_RATE = 0.1  # weight of a new area in the usual one
LEARN_EVERY = 4  # frames; all objects learn in the same ones, and share what is costly


@dataclass(frozen=True)
class Guard:
    """What an answer must reach to be taken for the object.

    Attributes:
        predicted_iou: the model's own estimate, at least.
        agreement: of the mask with the place it was asked at, soft IoU of cells, at least.
        likeness: of the mean feature inside with the object's own, cosine, at least.
        growth: its area over the usual one, at most; and its inverse, at least.
    """

    predicted_iou: float
    agreement: float
    likeness: float
    growth: float


FOLLOWED = Guard(predicted_iou=0.4, agreement=0.35, likeness=0.45, growth=5.0)
FOUND_AGAIN = Guard(predicted_iou=0.5, agreement=0.5, likeness=0.75, growth=2.5)
ELSEWHERE = Guard(predicted_iou=0.5, agreement=0.5, likeness=0.9, growth=2.5)  # a new scene
SURE = Guard(predicted_iou=0.5, agreement=0.5, likeness=0.6, growth=2.0)  # learnt from

# Cosines of two pictures' mean features. Of consecutive DAVIS frames 98 % are above the first, of
# pairs from different clips 4 %; of frames 8 apart 95 % are above the second, of such pairs 9 %.
NO_CUT, KNOWN_SCENE = 0.93, 0.9


@dataclass(frozen=True, eq=False)
class Sighting:
    """An answer about one object, not judged yet.

    Attributes:
        box_xyxy: (4,) of the mask, shares of the picture's width and height.
        area: of the mask, share of the picture; 0 if it is empty.
        predicted_iou, agreement, likeness: see Guard.
    """

    box_xyxy: F32
    area: float
    predicted_iou: float
    agreement: float
    likeness: float

    @property
    def evidence(self) -> float:
        """What speaks for it, to compare objects that claim the same place."""
        return self.agreement * self.likeness


@dataclass(eq=False)
class Track:
    """An object and what is known of it; only the thread that decodes changes it.

    Attributes:
        track_id: see TrackStatus.
        prompt: what it was asked for with.
        looks: None until it was seen once.
        box_xyxy: (4,) where it was last seen, shares of the picture.
        area: its usual one, share of the picture.
        scenes: mean features of the first and of the last picture that it was seen in.
        seen_frame_id, seen_ns: when it was last seen, or first asked for.
        learnt_frame_id: when its looks were last learnt.
        is_lost: whether it was not seen in the last frame.
        shared_with: tracks that it lay on or in when it was prompted; others' cells are not its.
    """

    track_id: int
    prompt: Prompt
    looks: Looks | None = None
    box_xyxy: F32 = field(default_factory=lambda: np.zeros(4, np.float32))
    area: float = 0.0
    scenes: tuple[F32, ...] = ()
    seen_frame_id: int = -1
    seen_ns: int = -1
    learnt_frame_id: int = -1
    is_lost: bool = False
    shared_with: set[int] = field(default_factory=set)

    def accepts(self, sighting: Sighting, scene: F32) -> bool:
        """Whether an answer in a picture of this mean feature (D,) is the object."""
        if self.looks is None:
            return sighting.area > 0
        return self._passes(sighting, self._guard(scene))

    def _guard(self, scene: F32) -> Guard:
        """What is asked of answers: more when it was lost, or the scene is another one."""
        last = cosine(scene, self.scenes[-1])
        if not self.is_lost and last >= NO_CUT:
            return FOLLOWED
        is_known = max(last, cosine(scene, self.scenes[0])) >= KNOWN_SCENE
        return FOUND_AGAIN if is_known else ELSEWHERE

    def is_sure(self, sighting: Sighting) -> bool:
        """Whether its looks may be learnt from an answer that was accepted."""
        return self._passes(sighting, SURE)

    def _passes(self, seen: Sighting, guard: Guard) -> bool:
        return (
            seen.predicted_iou >= guard.predicted_iou
            and seen.agreement >= guard.agreement
            and seen.likeness >= guard.likeness
            and self.area / guard.growth <= seen.area <= self.area * guard.growth
            and seen.area > 0
        )

    def see(self, sighting: Sighting, scene: F32, frame_id: int, now_ns: int) -> TrackState:
        """Take note of an answer that was accepted."""
        state: TrackState = "re-acquired" if self.is_lost and self.area else "tracked"
        rate = AREA_RATE if self.area else 1.0
        self.area += rate * (sighting.area - self.area)
        self.box_xyxy = sighting.box_xyxy
        self.scenes = (*self.scenes[:1], scene)
        self.seen_frame_id, self.seen_ns, self.is_lost = frame_id, now_ns, False
        return state

    def miss(self, frame_id: int, now_ns: int) -> TrackState:
        """Take note that it was not seen."""
        if self.seen_ns < 0:
            self.seen_frame_id, self.seen_ns = frame_id, now_ns
        self.is_lost = True
        return "lost"

    def learn(self, seen: Moments, frame_id: int) -> None:
        """Learn its looks."""
        if self.looks is None:
            self.looks = Looks(seen)
        else:
            self.looks.learn(seen)
        self.learnt_frame_id = frame_id

    def is_due(self, frame_id: int) -> bool:
        """Whether it is time to learn again."""
        return frame_id // LEARN_EVERY > self.learnt_frame_id // LEARN_EVERY

    def status(self, state: TrackState, now_ns: int, image_hw: tuple[int, int]) -> TrackStatus:
        """What is told of it."""
        h, w = image_hw
        box = (self.box_xyxy * np.array([w, h, w, h], np.float32)).tolist()
        x0, y0, x1, y1 = box
        return TrackStatus(
            self.track_id,
            state,
            (now_ns - self.seen_ns) / 1e6,
            (x0, y0, x1, y1) if self.looks is not None else None,
        )
