"""Makes the demo's clip from its photos: a rocket lifts off, one walks to it, one slides by.

Every moving thing is cut out of its photo by the masks that `edgesam-run` wrote before, and laid on
the launch pad's photo, over which the camera rises and zooms. Where things are is known, so the
clip's prompts are the photos' own prompts, moved along. The same masks give the same clip.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import edgesam_rt as es
from edgesam_rt.sinks.video import VideoFile

HERE = Path(__file__).resolve().parent
SIZE_WH = (640, 360)
FPS = 25
SECONDS = 5.0
LIFT_OFF_S = 1.0
_SOFT_PX = 1.2  # width of the seam between a cut-out and the ground

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Asked = dict[str, list[Any]]  # one object of a prompts file


class ClipError(Exception):
    """The clip cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where something lies in the clip: `xy * scale + shift`.

    Attributes:
        scale: clip px per photo px.
        x, y: of the photo's top-left corner in the clip, px.
    """

    scale: float
    x: float
    y: float

    def after(self, dx: float, dy: float) -> Place:
        """The place of something that was moved by so many px of its photo."""
        return Place(self.scale, self.x + self.scale * dx, self.y + self.scale * dy)


@dataclass(frozen=True, eq=False)
class CutOut:
    """A thing cut out of its photo.

    Attributes:
        pixels: (h, w, 3) float32 RGB, zero outside the thing.
        alpha: (h, w, 1) float32, 1 inside the thing, 0 outside.
        asked: the photo's prompt for it.
    """

    pixels: F32
    alpha: F32
    asked: Asked


def read_mask(path: Path) -> U8:
    """Read a mask, (h, w) of 0 and 255.

    Raises:
        ClipError: it is not there, or cannot be read.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise ClipError(
            f"{path}: no such mask. Cut the photos out first: edgesam-run demo/photos "
            f"--prompts demo/prompts.json --out masks:{path.parent}"
        )
    return mask.astype(np.uint8, copy=False)


def cut_out(masks: Path, name: str, ids: Sequence[int], asked: Asked, light: float = 1.0) -> CutOut:
    """Cut objects out of a photo, as one thing: without specks, without pinholes, with a soft rim.

    Args:
        masks: folder of NAME_ID.png.
        name: of the photo.
        ids: of the objects.
        asked: the prompt that goes with the thing.
        light: less than 1 makes the thing darker, as night does.
    """
    photo = es.read_image(HERE / "photos" / f"{name}.jpg")
    whole = np.zeros(photo.shape[:2], np.uint8)
    for object_id in ids:
        whole |= read_mask(masks / f"{name}_{object_id}.png")
    whole = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)).astype(np.uint8)
    outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        raise ClipError(f"{masks}/{name}: the masks are empty; the engine found nothing there.")
    solid = np.zeros_like(whole)
    cv2.drawContours(solid, [max(outlines, key=cv2.contourArea)], -1, 255, -1)
    soft = cv2.GaussianBlur(cv2.erode(solid, np.ones((3, 3), np.uint8)), (0, 0), _SOFT_PX)
    alpha: F32 = soft[..., None].astype(np.float32) / np.float32(255)
    lit: F32 = photo.astype(np.float32) * np.float32(light)
    return CutOut(lit * alpha, alpha, asked)


def empty_pad(rocket: CutOut) -> F32:
    """The launch pad's photo without its rocket: the sky behind is filled in from both sides."""
    photo = es.read_image(HERE / "photos" / "rocket.jpg")
    hole = cv2.dilate((rocket.alpha[..., 0] > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    return cv2.inpaint(photo, hole, 7, cv2.INPAINT_TELEA).astype(np.float32)


def paste(canvas: F32, thing: CutOut, place: Place) -> None:
    """Lay a thing on a picture, (H, W, 3) float32, in place."""
    move = np.array([[place.scale, 0, place.x], [0, place.scale, place.y]], np.float32)
    size_wh = canvas.shape[1], canvas.shape[0]
    pixels = cv2.warpAffine(thing.pixels, move, size_wh, flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(thing.alpha, move, size_wh, flags=cv2.INTER_LINEAR)[..., None]
    canvas *= 1 - alpha
    canvas += pixels


def moved_prompt(asked: Asked, place: Place) -> Asked:
    """A photo's prompt where its object now is; a box ends at the edge of the picture."""
    shift = place.x, place.y
    out: Asked = {}
    if box := asked.get("box"):
        moved = [v * place.scale + shift[i % 2] for i, v in enumerate(box)]
        out["box"] = [round(min(max(v, 0.0), SIZE_WH[i % 2]), 1) for i, v in enumerate(moved)]
    if points := asked.get("points"):
        out["points"] = [
            [*(round(v * place.scale + d, 1) for v, d in zip((x, y), shift, strict=True)), *label]
            for x, y, *label in points
        ]
    return out


def _ease(t_s: float, start_s: float, end_s: float) -> float:
    """From 0 to 1 between two times, without a jolt at either end."""
    part = min(max((t_s - start_s) / (end_s - start_s), 0.0), 1.0)
    return part * part * (3 - 2 * part)


def camera(t_s: float) -> Place:
    """Where the launch pad's photo lies: the view draws back and pans as the rocket rises."""
    part = _ease(t_s, 0.0, SECONDS)
    scale = 1.12 - 0.12 * part
    return Place(scale, -46 * (1 - part), SIZE_WH[1] - 427 * scale)


def rise(t_s: float) -> float:
    """How high the rocket is over its pad, px of its photo."""
    return 12.0 * max(0.0, t_s - LIFT_OFF_S) ** 2


def walk(t_s: float) -> Place:
    """Where the walking woman's photo lies: she gets smaller, and sways a little at each step."""
    scale = 0.70 - 0.06 * t_s
    feet_x = 238 + 3 * t_s + 1.5 * math.sin(5.2 * t_s)
    feet_y = 362 - 3 * t_s + 2.0 * abs(math.sin(5.2 * t_s))
    return Place(scale, feet_x - 455 * scale, feet_y - 385 * scale)


def slide(t_s: float) -> Place:
    """Where the astronaut's photo lies: she comes in from the right and stays in the corner."""
    scale = 0.50
    left = SIZE_WH[0] - 130 - 122 * _ease(t_s, 0.4, 2.2)
    return Place(scale, left, SIZE_WH[1] - 250 + 4 * math.sin(2.1 * t_s))


def add_flame(canvas: F32, at_xy: tuple[float, float], size: float, t_s: float) -> None:
    """Add a flame's light below a point; `size` is its width at the top, px."""
    if size <= 0:
        return
    y, x = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]].astype(np.float32)
    flicker = 1 + 0.10 * math.sin(41 * t_s) + 0.06 * math.sin(67 * t_s)
    across, down = (x - at_xy[0]) / size, (y - at_xy[1]) / (7 * size * flicker)
    spread = 0.7 + 0.8 * down.clip(0, 2)
    fade = np.exp(-1.6 * down.clip(0) - 4000 * down.clip(-0.1, 0) ** 2)
    body = np.exp(-((across / spread) ** 2)) * fade
    glow = np.exp(-(across**2 + (7 * down - 4) ** 2) / 70)
    canvas += body[..., None] * np.array([255, 205, 120], np.float32)
    canvas += glow[..., None] * np.array([80, 46, 16], np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """The things of the clip; their object ids are 1 rocket, 2 woman, 3 astronaut."""

    pad: F32
    rocket: CutOut
    woman: CutOut
    astronaut: CutOut

    def places(self, t_s: float) -> list[tuple[CutOut, Place]]:
        """Things from back to front, and where they are."""
        return [
            (self.rocket, camera(t_s).after(0, -rise(t_s))),
            (self.woman, walk(t_s)),
            (self.astronaut, slide(t_s)),
        ]

    def draw(self, t_s: float) -> U8:
        """One frame, (H, W, 3) RGB."""
        view = camera(t_s)
        move = np.array([[view.scale, 0, view.x], [0, view.scale, view.y]], np.float32)
        ground = cv2.warpAffine(self.pad, move, SIZE_WH, borderMode=cv2.BORDER_REPLICATE)
        canvas: F32 = ground.astype(np.float32, copy=False)
        (rocket, at), *others = self.places(t_s)
        nozzle = at.scale * 321 + at.x, at.scale * 408 + at.y
        add_flame(canvas, nozzle, 15 * at.scale * _ease(t_s, LIFT_OFF_S - 0.6, 2.2), t_s)
        paste(canvas, rocket, at)
        for thing, place in others:
            paste(canvas, thing, place)
        frame: U8 = canvas.clip(0, 255).round().astype(np.uint8)
        return frame

    def asked(self, t_s: float) -> list[Asked]:
        """The frame's prompts; all three things are in the picture from the first to the last."""
        return [moved_prompt(thing.asked, place) for thing, place in self.places(t_s)]


def load_scene(masks: Path) -> Scene:
    """Cut the things out of their photos.

    Args:
        masks: folder with the masks of the demo's prompts.

    Raises:
        ClipError: a photo or a mask is missing.
    """
    rocket = cut_out(masks, "rocket", [1], {"box": [302, 120, 342, 412]})
    woman = cut_out(
        masks, "woman-in-room", [1], {"box": [385, 10, 525, 385], "points": [[455, 180]]}, light=0.8
    )
    suit_and_helmet = {"box": [18, 14, 508, 512]}
    astronaut = cut_out(masks, "astronaut", [1, 2], suit_and_helmet, light=0.92)
    return Scene(empty_pad(rocket), rocket, woman, astronaut)


def make_clip(masks: Path, clip: Path, prompts: Path, seconds: float = SECONDS) -> int:
    """Write the clip and its prompts; returns the number of frames.

    Args:
        masks: folder with the masks of the demo's prompts.
        clip: the video to write.
        prompts: the prompts file to write.
        seconds: how much of the clip.

    Raises:
        ClipError: a mask is missing.
        EdgeSamError: a photo is missing, or the video cannot be written.
    """
    scene = load_scene(masks)
    video = VideoFile(clip, FPS, "clip")
    asked: dict[str, list[Asked]] = {}
    try:
        for i in range(max(1, round(FPS * seconds))):
            video.add(scene.draw(i / FPS))
            asked[f"frame-{i:06d}"] = scene.asked(i / FPS)
    finally:
        video.close()
    prompts.write_text(json.dumps({"frames": asked}) + "\n", "utf-8")
    return len(asked)


def main() -> int:
    """Make the clip from the command line."""
    p = argparse.ArgumentParser(description="Make the demo's clip from its photos and their masks.")
    p.add_argument("--masks", type=Path, default=Path("out/demo/masks"), help="folder of masks")
    p.add_argument("--out", type=Path, default=Path("out/demo/clip.webm"), help=".webm or .mp4")
    p.add_argument("--seconds", type=float, default=SECONDS, help=f"default: {SECONDS:g}")
    args = p.parse_args()
    try:
        prompts = args.out.with_suffix(".prompts.json")
        frames = make_clip(args.masks, args.out, prompts, args.seconds)
    except (ClipError, es.EdgeSamError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{args.out}: {frames} frames, {SIZE_WH[0]}x{SIZE_WH[1]}, {FPS} per second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
