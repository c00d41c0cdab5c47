"""Does the scene stand still? Block means of a frame against those of the frame last encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesam_rt.types import F32, U8


@dataclass(frozen=True)
class SceneRules:
    """When two pictures are of the same scene. Levels are of 0 to 255.

    Attributes:
        blocks: along the longer side, at most. An object as large as a block changes its mean by
            its contrast; one of a third of its side by a ninth of that.
        samples: pixels that are looked at per block side.
        least: change of a block mean, in levels, that is never a change of the scene.
        most: one that always is: noise is never believed to be more.
        factor: between them, how many times the usual noise of a block mean.
        learning: weight of a new frame in the usual noise.
    """

    blocks: int = 40
    samples: int = 8
    least: float = 1.5
    most: float = 8.0
    factor: float = 6.0
    learning: float = 0.2


class Scene:
    """Compares frames with the one that was last taken as the reference."""

    def __init__(self, rules: SceneRules | None = None) -> None:
        self._rules = rules or SceneRules()
        self._reference: F32 | None = None
        self._last: F32 | None = None
        self._noise: float | None = None  # standard deviation of a block mean between frames

    @property
    def threshold(self) -> float:
        """Change of a block mean that counts, levels."""
        noise = 0.0 if self._noise is None else self._noise
        return float(np.clip(self._rules.factor * noise, self._rules.least, self._rules.most))

    def stands_still(self, pixels: U8) -> bool:
        """Look at a frame, (H, W, 3) uint8: whether it shows what the reference shows.

        A picture of another size is another scene.
        """
        now = block_means(pixels, self._rules)
        before, self._last = self._last, now
        reference = self._reference
        if before is None or reference is None or not now.shape == before.shape == reference.shape:
            return False
        is_same = float(np.abs(now - reference).max()) <= self.threshold
        self._learn(float(np.median(np.abs(now - before))))
        return is_same

    def remember(self) -> None:
        """The frame last looked at becomes the reference."""
        self._reference = self._last

    def forget(self) -> None:
        """There is no reference: no frame shows the same."""
        self._reference = self._last = None

    def _learn(self, median: float) -> None:
        """Of a moving scene the median says nothing of noise; then `most` bounds what it does."""
        noise = 1.4826 * median  # of a normal distribution
        known = noise if self._noise is None else self._noise
        self._noise = known + self._rules.learning * (noise - known)


def block_means(pixels: U8, rules: SceneRules) -> F32:
    """Mean colours of the blocks of a picture, (h, w, 3) float32, from some of its pixels."""
    import cv2

    high, wide = pixels.shape[:2]
    scale = min(rules.blocks / max(high, wide), 1 / rules.samples)
    w, h = max(1, round(wide * scale)), max(1, round(high * scale))
    fine = (min(wide, w * rules.samples), min(high, h * rules.samples))
    sampled = cv2.resize(pixels, fine, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    return np.asarray(cv2.resize(sampled, (w, h), interpolation=cv2.INTER_AREA), np.float32)
