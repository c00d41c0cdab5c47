"""A feed over `cv2.VideoCapture`, for every source that OpenCV can open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edgesam_rt.cameras.feed import DamagedPicture, Picture
from edgesam_rt.clock import Clock, elapsed_ms
from edgesam_rt.errors import CameraError
from edgesam_rt.types import U8


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802 - OpenCV's names

    def set(self, propId: int, value: float) -> bool: ...  # noqa: D102, N803

    def get(self, propId: int) -> float: ...  # noqa: D102, N803

    def grab(self) -> bool: ...  # noqa: D102

    def retrieve(self) -> tuple[bool, Any]: ...  # noqa: D102

    def release(self) -> None: ...  # noqa: D102


Stamp = Callable[[Capture, int], int]


class OpencvFeed:
    """Grabs, stamps, decodes.

    Args:
        capture: open; this feed releases it.
        clock: stamps the arrivals.
        stamp: from the capture and the time of arrival to that of the picture, ns.
        ended: what to say when there are no more pictures.
    """

    def __init__(self, capture: Capture, clock: Clock, *, stamp: Stamp, ended: str) -> None:
        import cv2

        self._capture, self._clock, self._stamp, self._ended = capture, clock, stamp, ended
        wide = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        high = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.size_wh = (wide, high) if wide > 0 and high > 0 else None
        self.fps = rate if 0 < rate <= 1000 else None

    def take(self) -> Picture | None:
        """Wait for the next picture."""
        import cv2

        if not self._capture.grab():
            raise CameraError(self._ended)
        arrived_ns = self._clock.now_ns()
        captured_at_ns = self._stamp(self._capture, arrived_ns)
        good, bgr = self._capture.retrieve()
        if not good or bgr is None:
            raise DamagedPicture("it could not be decoded")
        pixels: U8 = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return Picture(pixels, captured_at_ns, elapsed_ms(arrived_ns, self._clock))

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()
