"""Reads what sinks wrote, with other code than theirs where there is any."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edgesam_rt.types import U8


def picture_in(path: Path) -> U8:
    """A picture as it is stored: (H, W) grey or (H, W, 3) RGB."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def frames_in(path: Path) -> list[U8]:
    """All frames of a video, (H, W, 3) RGB."""
    video = cv2.VideoCapture(str(path))
    frames: list[U8] = []
    while True:
        found, frame = video.read()
        if not found:
            video.release()
            return frames
        frames.append(np.ascontiguousarray(frame[..., ::-1], np.uint8))


def fps_of(path: Path) -> float:
    """A video's rate."""
    video = cv2.VideoCapture(str(path))
    try:
        return float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()
