"""The newest result as a JPEG: made once for all who look, and not at all if nobody does."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgesam_rt.drawing import overlay
from edgesam_rt.records import Result
from edgesam_rt.sinks.files import encode_picture
from edgesam_rt.sinks.rate import Rate


@dataclass(frozen=True)
class Picture:
    """A JPEG, and its number; later ones have larger numbers."""

    number: int
    jpeg: bytes


class LivePicture:
    """Takes results from one thread and gives pictures to many.

    Args:
        quality: of the JPEGs, 1 to 100.
    """

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._rate = Rate()
        self._newest: tuple[int, Result, float | None] | None = None
        self._drawn: Picture | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._drawing = threading.Lock()

    def put(self, result: Result) -> None:
        """Show this result from now on."""
        with self._changed:
            number = self._newest[0] + 1 if self._newest else 1
            self._newest = number, result, self._rate.after_one_more()
            self._changed.notify_all()

    def newer_than(self, number: int, timeout_s: float) -> Picture | None:
        """Return the newest picture if its number is larger, waiting for one; None if none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._has_newer(number), timeout_s)
            if not self._has_newer(number):
                return None
        with self._drawing:
            return self._draw()

    def close(self) -> None:
        """Wake all who wait."""
        with self._changed:
            self._is_closed = True
            self._newest = None
            self._changed.notify_all()

    def _has_newer(self, number: int) -> bool:
        return self._newest is not None and self._newest[0] > number

    def _draw(self) -> Picture | None:
        with self._changed:
            newest, drawn = self._newest, self._drawn
        if newest is None or (drawn is not None and drawn.number == newest[0]):
            return drawn
        number, result, fps = newest
        pixels = overlay.draw(result, fps=fps)
        jpeg = encode_picture(pixels, ".jpg", quality=self._quality)
        self._drawn = Picture(number, jpeg)
        return self._drawn
