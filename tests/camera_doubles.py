"""Doubles and makers for the camera tests: a clock set by hand, small videos."""

from __future__ import annotations

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
