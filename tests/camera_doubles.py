"""Doubles and makers for the camera tests: a clock set by hand, OpenCV's capture, small videos."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from edgesam_rt.types import U8


class ManualClock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_s(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.time_ns += round(seconds * 1e9)


class FakeCapture:
    """Stands in for cv2.VideoCapture on a V4L2 device; one picture per `step_s` of real time.

    `pictures` None is endless; else grab fails after so many, as after an unplugged cable. With
    `paused` set grab blocks, as on a silent device, until `resume` or the ten seconds of OpenCV.
    """

    def __init__(self, *, pictures: int | None = None, size_wh: tuple[int, int] = (64, 48)) -> None:
        self.pictures = pictures
        self.opened = True
        self.damaged: set[int] = set()
        self.asked: dict[int, float] = {}
        self.size_wh = size_wh
        self.grabbed = 0
        self.released = 0
        self.released_while_grabbing = False
        self.go = threading.Event()
        self.go.set()
        self._grabbing = False
        self._pixels: U8 = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        self.asked[propId] = value
        return True

    def get(self, propId: int) -> float:  # noqa: N803
        known = {
            cv2.CAP_PROP_FRAME_WIDTH: float(self.size_wh[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self.size_wh[1]),
            cv2.CAP_PROP_FPS: 30.0,
        }
        return known.get(propId, 0.0)

    def grab(self) -> bool:
        self._grabbing = True
        try:
            threading.Event().wait(0.002)
            if not self.go.wait(10) or self.grabbed == self.pictures:
                return False
            self.grabbed += 1
            return True
        finally:
            self._grabbing = False

    def retrieve(self) -> tuple[bool, U8 | None]:
        if self.grabbed - 1 in self.damaged:
            return False, None
        self._pixels[...] = (255, self.grabbed % 256, 0)  # blue first, one buffer for all
        return True, self._pixels

    def release(self) -> None:
        self.released += 1
        self.released_while_grabbing |= self._grabbing


def write_video(
    path: Path,
    frames: int,
    *,
    size_wh: tuple[int, int] = (64, 48),
    fps: float = 25,
    cc: str = "MJPG",
) -> Path:
    """Write a video whose frame i is grey 5 * i (up to 250), with a red left half."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*cc), fps, size_wh)
    assert writer.isOpened()
    for i in range(frames):
        picture = np.full((size_wh[1], size_wh[0], 3), min(5 * i, 250), np.uint8)
        picture[:, : size_wh[0] // 2] = (0, 0, 255)
        writer.write(picture)
    writer.release()
    return path


def cut(video: Path, *, keep: float) -> Path:
    """Cut an AVI off within its pictures, as a recorder that lost power; its header stays."""
    data = video.read_bytes()
    pictures = data.index(b"movi")
    video.write_bytes(data[: pictures + round((len(data) - pictures) * keep)])
    return video


def grey_of(pixels: U8) -> int:
    """Which frame of `write_video` a picture is."""
    return round(float(pixels[:, -pixels.shape[1] // 4 :].mean()) / 5)
