"""Which frames need no encoding: those of a scene that stands still, and those between looks."""

from __future__ import annotations

from dataclasses import dataclass

from edgesam_rt.boards import LadderStep
from edgesam_rt.pipeline.scene import Scene
from edgesam_rt.records import Embedding, Frame, Reuse


@dataclass(frozen=True, eq=False)
class Kept:
    """What a frame is answered from instead of an embedding of its own."""

    embedding: Embedding
    how: Reuse
    age_ms: float  # of the picture that was encoded, at this frame's capture


class Keeper:
    """Keeps the last embedding, and says for which frames it serves."""

    def __init__(self) -> None:
        self._scene = Scene()
        self._frame: Frame | None = None
        self._embedding: Embedding | None = None
        self._since = 0  # frames since the last that was encoded

    def find(self, frame: Frame, step: LadderStep, mode: str) -> Kept | None:
        """Return what serves for a frame at this step; None: it has to be encoded."""
        stands_still = step.reuse_ms > 0 and self._scene.stands_still(frame.pixels)
        self._since += 1
        if self._frame is None or self._embedding is None:
            return None
        is_fine = self._embedding.encoder_side >= step.encoder_side
        if not is_fine or self._frame.image_hw != frame.image_hw:
            return None
        age_ms = (frame.captured_at_ns - self._frame.captured_at_ns) / 1e6
        if stands_still and age_ms <= step.reuse_ms:
            return Kept(self._embedding, "still", age_ms)
        if mode == "track" and self.is_between(step):
            return Kept(self._embedding, "kept", age_ms)
        return None

    def is_between(self, step: LadderStep) -> bool:
        """Whether the frame last looked for is one of those that a step leaves out."""
        return self._embedding is not None and self._since < step.encode_every

    def keep(self, frame: Frame, embedding: Embedding, step: LadderStep) -> None:
        """Take note of a frame that was encoded."""
        self._frame, self._embedding, self._since = frame, embedding, 0
        if step.reuse_ms > 0:
            self._scene.remember()
        else:
            self._scene.forget()
