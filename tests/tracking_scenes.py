"""Pictures with known things at known places, and a camera that shows given pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgesam_rt.cameras.parts import CameraParts
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import EndOfStream
from edgesam_rt.records import Frame
from edgesam_rt.types import U8, Bool

HW = (240, 320)
RED = (205, 45, 40)
BLUE = (50, 90, 215)
RADIUS = 30


def ground(seed: int = 0) -> U8:
    """A dull ground without any object: slow waves and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: HW[0], : HW[1]] / HW[0]
    waves = np.sin(4 * x + 3 * y + seed) + np.sin(5 * x - 2 * y)
    light = 12 * waves + rng.normal(0, 6, HW)
    return np.asarray((light[..., None] + np.array([95, 105, 90])).clip(0, 255), np.uint8)


def disc(x: float, y: float, radius: float = RADIUS) -> Bool:
    """(H, W) where a disc is."""
    rows, columns = np.mgrid[: HW[0], : HW[1]] + 0.5
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


def with_discs(*discs: tuple[float, float, tuple[int, int, int]], seed: int = 0) -> U8:
    """The ground with discs on it: x, y and colour of each, the last on top."""
    pixels = ground(seed)
    for x, y, colour in discs:
        pixels[disc(x, y)] = colour
    return pixels


def shapes(frames: int = 60) -> SyntheticCamera:
    """Four shapes that move and hide each other."""
    return SyntheticCamera(size_wh=(HW[1], HW[0]), frames=frames)


class Slides(CameraParts):
    """Shows pictures; None is a frame that was lost. They may differ in size."""

    def __init__(self, pictures: Sequence[U8 | None]) -> None:
        super().__init__("slides:", clock=CLOCK, size_wh=(HW[1], HW[0]), live=False)
        self._left = list(enumerate(pictures))

    def read(self, timeout_s: float) -> Frame | None:
        del timeout_s
        while self._left:
            i, pixels = self._left.pop(0)
            if pixels is not None:
                return Frame(i, pixels, CLOCK.now_ns(), f"frame-{i:06d}")
        raise EndOfStream("slides: no more.")
