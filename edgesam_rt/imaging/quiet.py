"""Keeps OpenCV's own messages off stderr while one of its calls may fail: we say it better."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SILENT = 0


class _Level:
    """How many blocks are inside, and the level from before the first."""

    lock = threading.Lock()
    inside = 0
    before = 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log inside the block; the level of before returns with the last block.

    Blocks may nest and overlap in several threads. What libpng, libjpeg and FFmpeg write to
    stderr themselves is not in OpenCV's hands; OPENCV_FFMPEG_LOGLEVEL=-8 in the environment
    silences FFmpeg.
    """
    log = _logging()
    with _Level.lock:
        if _Level.inside == 0:
            _Level.before = log.getLogLevel()
            log.setLogLevel(_SILENT)
        _Level.inside += 1
    try:
        yield
    finally:
        with _Level.lock:
            _Level.inside -= 1
            if _Level.inside == 0:
                log.setLogLevel(_Level.before)


def _logging() -> Any:
    """Where the log level lives: `cv2.utils.logging`, or `cv2` itself before 4.11."""
    import cv2

    return getattr(cv2.utils, "logging", cv2)
