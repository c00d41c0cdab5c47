"""`synthetic:`: known shapes at known places; the shipped double of a camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.parts import CameraParts, Pace
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.records import Frame
from edgesam_rt.types import U8, Bool

_FRAMES = 100  # of a source that is not live and was not told
_PERIOD = 240  # frames after which a shape is back


class Truth(NamedTuple):
    """One object that can be seen in a frame.

    Attributes:
        name: what it is, as "red disc".
        mask: (H, W) where it is seen; what lies under another object is not.
        point_xy: centre of a pixel of it, px, as prompts count: the first centre is 0.5, 0.5.
    """

    name: str
    mask: Bool
    point_xy: tuple[float, float]


class _Shape(NamedTuple):
    """A shape cut out, and its path: it swings `turns` times per period along y and x."""

    name: str
    mask: Bool  # (S, S)
    around: U8  # (S, S, 3): 0 inside, 255 outside
    pixels: U8  # (S, S, 3): 0 outside
    turns: tuple[int, int]  # y, x
    phase: tuple[float, float]  # y, x; 0 to 1


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> SyntheticCamera:
    """Open `synthetic:`."""
    values = read_options(spec, SOURCES["synthetic"].options)
    return SyntheticCamera(
        name=spec.text or "synthetic:",
        size_wh=values["size"],
        fps=values["fps"],
        frames=values["frames"],
        live=values["live"],
        seed=values["seed"],
        silent_after=values["silent_after"],
        clock=clock,
    )


class SyntheticCamera(CameraParts):
    """A disc, a square, a triangle and a bar moving over a textured ground; the same every time.

    Frame i looks the same whenever it is read, and `truth(i)` tells what is in it. A live one
    gives the newest frame that is due, counted from the first read; those passed over are
    counted in `losses` ("late"), and ids skip them.

    Args:
        size_wh: width and height, px, each at least 16.
        fps: frames per second, its pace if live.
        frames: how many; None: 100, or endless if live.
        live: give each frame at its time.
        seed: another ground and other paths.
        silent_after: how many frames before it hangs, as cameras do; None: never.
        name: what to call it.
        clock: stamps the frames and keeps the pace.
    """

    def __init__(
        self,
        *,
        size_wh: tuple[int, int] = (640, 480),
        fps: float = 30.0,
        frames: int | None = None,
        live: bool = False,
        seed: int = 0,
        silent_after: int | None = None,
        name: str = "synthetic:",
        clock: Clock = CLOCK,
    ) -> None:
        length = _FRAMES if frames is None and not live else frames
        super().__init__(name, clock=clock, size_wh=size_wh, live=live, fps=fps, length=length)
        rng = np.random.default_rng(seed)
        self._ground = _ground(size_wh, rng)
        self._shapes = _shapes(size_wh, rng)
        self._pace = Pace(fps, clock, self._closed) if live else None
        self._silent_after = silent_after
        self._next = 0

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame; only a live one is waited for, up to `timeout_s`.

        Raises:
            EndOfStream: there are no more.
        """
        if self.length is not None and self._next >= self.length:
            raise self._end()
        index: int | None = self._next
        if self._silent_after is not None and self._next >= self._silent_after:
            index = None
            self._closed.wait(timeout_s)
        elif self._pace is not None:
            index = self._pace.wait(self._next, timeout_s)
        if self._closed.is_set():
            raise self._end()
        if index is None:
            return None
        if self.length is not None:
            index = min(index, self.length - 1)
        start_ns = self._clock.now_ns()
        pixels = self.draw(index)
        self._lose("late", index - self._next)
        self._next = index + 1
        capture_ms = elapsed_ms(start_ns, self._clock)
        return Frame(index, pixels, self._clock.now_ns(), f"frame-{index:06d}", capture_ms)

    def draw(self, frame_id: int) -> U8:
        """Return the picture of a frame, (H, W, 3) uint8 RGB, the caller's own."""
        pixels: U8 = self._ground.copy()
        for shape in self._shapes:
            rows, columns = self._place(shape, frame_id)
            window = pixels[rows, columns]
            window &= shape.around  # ten times as fast as copying under a mask
            window |= shape.pixels
        return pixels

    def truth(self, frame_id: int) -> list[Truth]:
        """Return what can be seen in a frame, from back to front."""
        owner = np.full(self._ground.shape[:2], -1, np.int8)
        for i, shape in enumerate(self._shapes):
            rows, columns = self._place(shape, frame_id)
            owner[rows, columns][shape.mask] = i
        seen = ((shape.name, owner == i) for i, shape in enumerate(self._shapes))
        return [Truth(name, mask, _point_in(mask)) for name, mask in seen if mask.any()]

    def _place(self, shape: _Shape, frame_id: int) -> tuple[slice, slice]:
        """Return the rows and columns where a shape lies; it never leaves the picture."""
        side = len(shape.mask)
        corner = []
        for extent, turns, phase in zip(
            self._ground.shape[:2], shape.turns, shape.phase, strict=True
        ):
            swing = math.sin(2 * math.pi * (turns * frame_id / _PERIOD + phase))
            corner.append(round((extent - side) * (0.5 + 0.5 * swing)))
        return slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)


def _point_in(mask: Bool) -> tuple[float, float]:
    """Return the centre of the pixel of a mask that is nearest to its centre of mass."""
    ys, xs = np.nonzero(mask)
    i = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return float(xs[i]) + 0.5, float(ys[i]) + 0.5


def _ground(size_wh: tuple[int, int], rng: np.random.Generator) -> U8:
    """Return a dull ground: slow waves and grain."""
    wide, high = size_wh
    y, x = np.mgrid[:high, :wide] / min(wide, high)
    a, b, c, d = rng.uniform(2, 6, 4)
    waves = np.sin(a * x + b * y) + np.sin(c * x - d * y)
    grain = rng.normal(0, 8, (high, wide))
    tint = np.array([95, 105, 90]) + rng.integers(-15, 16, 3)
    light = 12 * waves + grain
    pixels: U8 = (light[..., None] + tint).clip(0, 255).astype(np.uint8)
    return pixels


def _shapes(size_wh: tuple[int, int], rng: np.random.Generator) -> tuple[_Shape, ...]:
    side = max(5, round(min(size_wh) * 0.3))
    v, u = np.mgrid[:side, :side] * (2 / (side - 1)) - 1  # -1 to 1
    inside = {
        "red disc": (u**2 + v**2 <= 1, (205, 45, 40)),
        "yellow square": (np.maximum(abs(u), abs(v)) <= 0.85, (235, 200, 50)),
        "blue triangle": (abs(u) <= (v + 1) / 2, (50, 90, 215)),
        "white bar": (abs(u) <= 0.35, (235, 235, 235)),
    }
    light = (12 * (u + v))[..., None]
    shapes = []
    for i, (name, (mask, colour)) in enumerate(inside.items()):
        pixels = (np.array(colour) - light).clip(0, 255).astype(np.uint8) * mask[..., None]
        around = np.where(mask, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
        phase = i / len(inside) + rng.uniform(0, 0.2)
        shapes.append(_Shape(name, mask, around, pixels, (1 + i % 2, 1), (2.7 * phase, phase)))
    return tuple(shapes)
