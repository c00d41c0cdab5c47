"""One connection to a live camera: what a driver's file writes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from edgesam_rt.errors import CameraError
from edgesam_rt.types import U8


class Picture(NamedTuple):
    """What a driver gave.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; the driver keeps no hold on it.
        captured_at_ns: monotonic time of the capture, as well as the source can tell.
        capture_ms: how long reading and decoding took.
    """

    pixels: U8
    captured_at_ns: int
    capture_ms: float


class Feed(Protocol):
    """An open device or stream, used by the one thread that opened it.

    It may block: `cameras/newest.py` gives it a thread, `cameras/reconnect.py` a deadline.

    Attributes:
        size_wh: width and height it promises, px, or None.
        fps: frames per second it promises, or None.
    """

    size_wh: tuple[int, int] | None
    fps: float | None

    def take(self) -> Picture | None:
        """Wait for the next picture; None if there was none yet, or it arrived damaged.

        Raises:
            CameraError: the device or the server stopped giving pictures.
        """
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


OpenFeed = Callable[[], Feed]


class DamagedPicture(CameraError):
    """A picture arrived that cannot be used."""
