"""A video file that plays, also when the disk fills up half-way."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from edgesam_rt.drawing.palette import DARK
from edgesam_rt.errors import SinkError
from edgesam_rt.sinks import files
from edgesam_rt.types import U8

log = logging.getLogger(__name__)

# What OpenCV's wheels can encode. Browsers play .webm; .mkv and .avi can be read up to where they
# were cut off; .mp4 is the quickest to make, and the smallest.
CODECS: Mapping[str, str] = MappingProxyType(
    {".avi": "MJPG", ".mkv": "mp4v", ".mp4": "mp4v", ".webm": "VP80"}
)
_MAX_SIDE = 4096  # px: larger pictures are scaled down; MPEG-4 ends at 8191
_MIN_SIDE = 16  # px: VP8 makes nothing of less
_RESERVE_BYTES = 4 << 20  # for what the encoder still holds, and the index at the end
_RESERVE_FRAMES = 3
_STDERR = threading.Lock()


class VideoFile:
    """Encodes pictures into one file; the first one decides its size.

    OpenCV says nothing when a write fails. So free space is looked at before every frame, while
    there is still room to finish the file, and the finished file is opened once.
    """

    def __init__(self, path: Path, fps: float, who: str) -> None:
        """Check that the file could be written; it is made with the first picture.

        Args:
            path: with one of the suffixes of CODECS.
            fps: frames per second, > 0.
            who: the sink's name, for messages.

        Raises:
            ConfigError: the path is a folder, or lies below a file.
            SinkError: it may not be written.
        """
        files.check_file(path, who)
        self.frames = 0
        self._path = path
        self._fps = fps
        self._who = who
        self._size_wh = 0, 0
        self._writer: Any = None
        self._is_closed = False

    def add(self, pixels: U8, times: int = 1) -> None:
        """Add a picture, letterboxed if it has another shape than the first.

        Args:
            pixels: (H, W, 3) RGB.
            times: for how many frames it is shown.

        Raises:
            SinkError: the disk is nearly full, or the file cannot be made. What was added before
                can be played.
        """
        if self._is_closed:
            raise SinkError(f"{self._who}: {self._path} is finished; nothing can be added.")
        if not self.frames:
            self._size_wh = _video_size(pixels.shape[1], pixels.shape[0])
        self._check_space()
        if self._writer is None:
            self._open()
        frame = _bgr(letterbox(pixels, self._size_wh))
        for _ in range(times):
            self._writer.write(frame)
            self.frames += 1

    def _check_space(self) -> None:
        """Stop while there is still room for the end of the file."""
        w, h = self._size_wh
        free = shutil.disk_usage(self._path.parent).free
        if free >= _RESERVE_BYTES + _RESERVE_FRAMES * w * h * 3:
            return
        self.close()
        state = f" The {self.frames} frames before are in it, and it plays." if self.frames else ""
        raise SinkError(
            f"{self._who}: stopped writing {self._path}: only {free / 1e6:.0f} MB are left on the "
            f"disk.{state} Free some space, or write to another disk."
        )

    def _open(self) -> None:
        import cv2

        try:
            self._path.write_bytes(b"")  # OpenCV would not say why it cannot
        except OSError as error:
            raise files.write_failed(self._who, self._path, error, "") from error
        codec = CODECS[self._path.suffix.lower()]
        with _hushed():
            writer = cv2.VideoWriter(
                str(self._path),
                cv2.CAP_FFMPEG,
                cv2.VideoWriter.fourcc(*codec),
                self._fps,
                self._size_wh,
            )
        if not writer.isOpened():
            self._path.unlink(missing_ok=True)
            others = ", ".join(sorted(set(CODECS) - {self._path.suffix.lower()}))
            raise SinkError(
                f"{self._who}: this OpenCV cannot encode {codec} into {self._path.suffix}. "
                f"Try another suffix ({others}), or a folder for PNGs."
            )
        self._writer = writer

    def close(self) -> None:
        """Finish the file; a second call does nothing.

        Raises:
            SinkError: the file is damaged.
        """
        writer, self._writer, self._is_closed = self._writer, None, True
        if writer is None:
            return
        writer.release()
        found = _count_frames(self._path)
        if found < self.frames * 0.9:
            raise SinkError(
                f"{self._who}: {self._path} is damaged: {self.frames} frames were written, "
                f"{found} are found. Is the disk full, or a quota reached? .mkv and .avi can be "
                "read up to the damage; .mp4 cannot."
            )
        log.info("%s: %d frames at %g fps", self._path, self.frames, self._fps)


def letterbox(pixels: U8, size_wh: tuple[int, int]) -> U8:
    """Return a picture in a frame of another size, as large as fits, in the middle of dark bars."""
    import cv2

    (w, h), (image_h, image_w) = size_wh, pixels.shape[:2]
    if (image_w, image_h) == (w, h):
        return pixels
    scale = min(w / image_w, h / image_h)
    if w - 2 < image_w <= w and h - 2 < image_h <= h:
        scale = 1.0  # one row or column short of even: do not blur it
    part_w, part_h = max(1, round(image_w * scale)), max(1, round(image_h * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    frame = np.empty((h, w, 3), np.uint8)
    frame[:] = DARK
    left, top = (w - part_w) // 2, (h - part_h) // 2
    part = pixels if scale == 1.0 else cv2.resize(pixels, (part_w, part_h), interpolation=how)
    frame[top : top + part_h, left : left + part_w] = part
    return frame


def _video_size(w: int, h: int) -> tuple[int, int]:
    """Width and height, px: even, as encoders want them, and neither too large nor too small."""
    scale = min(1.0, _MAX_SIDE / max(w, h))
    even_w, even_h = (-(-round(side * scale) // 2) * 2 for side in (w, h))
    return max(even_w, _MIN_SIDE), max(even_h, _MIN_SIDE)


def _bgr(pixels: U8) -> Any:
    import cv2

    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def _count_frames(path: Path) -> int:
    """How many frames a video says it has, 0 if it does not open."""
    import cv2

    with _hushed():
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            is_good = video.isOpened() and video.grab()
            return max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0) if is_good else 0
        finally:
            video.release()


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what FFmpeg writes to descriptor 2 from the user: VP8's tag is "not supported", yet is.

    It asks no log level; the rest of the process is silent, too, for these milliseconds. One
    thread at a time, or the second would take the first one's silence for stderr.
    """
    with _STDERR:
        try:
            kept = os.dup(2)
        except OSError:  # a service without stderr
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
