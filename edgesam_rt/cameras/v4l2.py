"""`v4l2:`: USB and other V4L2 cameras, through OpenCV.

Written without a camera at hand: the calls are OpenCV's documented ones and the tests run them on
a double with the same method names, but no real device has been read with this file yet.
"""

from __future__ import annotations

import glob
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.newest import Newest
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.parts import CameraParts
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.errors import CameraError, CameraMissing
from edgesam_rt.imaging.quiet import quiet_opencv
from edgesam_rt.records import Frame
from edgesam_rt.types import U8

log = logging.getLogger(__name__)

_MOST_BROKEN = 30  # undecodable pictures in a row; then the cable or the camera is at fault


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802 - OpenCV's names

    def set(self, propId: int, value: float) -> bool: ...  # noqa: D102, N803

    def get(self, propId: int) -> float: ...  # noqa: D102, N803

    def grab(self) -> bool: ...  # noqa: D102

    def retrieve(self) -> tuple[bool, Any]: ...  # noqa: D102

    def release(self) -> None: ...  # noqa: D102


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> V4l2Camera:
    """Open `v4l2:DEVICE`; the device may be a path, a number, or nothing for /dev/video0."""
    values = read_options(spec, SOURCES["v4l2"].options)
    target = spec.target or "0"
    device = f"/dev/video{target}" if target.isdecimal() else target
    return V4l2Camera(
        check_device(device),
        name=spec.text or f"v4l2:{target}",
        size_wh=values["size"],
        fps=values["fps"],
        pixel_format=values["format"],
        clock=clock,
    )


def check_device(
    device: str,
    *,
    folder: str = "/dev",
    may_use: Callable[[str, int], bool] = os.access,
) -> str:
    """Return the path of a device that is there and may be opened, links resolved.

    Raises:
        CameraMissing: it is not there (the message lists those that are), is no device, or its
            permissions keep us out.
    """
    if not os.path.exists(device):  # noqa: PTH110 - a name from /dev/v4l/by-id stays a string
        there = sorted(glob.glob(f"{folder}/video*"))  # noqa: PTH207
        known = f"Cameras here: {', '.join(there)}." if there else f"No {folder}/video* is there."
        raise CameraMissing(
            f"v4l2: there is no {device}. {known} Is the camera plugged in? In a container, pass "
            f"the device in (--device {device})."
        )
    real = os.path.realpath(device)
    if not stat.S_ISCHR(Path(real).stat().st_mode):
        raise CameraMissing(f"v4l2: {device} is not a device. file:{device} reads a file.")
    if not may_use(real, os.R_OK | os.W_OK):
        raise CameraMissing(
            f"v4l2: no permission to open {device}. Add yourself to its group and log in again: "
            "sudo usermod -aG video $USER"
        )
    return real


def opencv_capture(device: str) -> Capture:
    """Open a device with OpenCV's V4L2 code."""
    import cv2

    with quiet_opencv():
        return cv2.VideoCapture(device, cv2.CAP_V4L2)


class V4l2Camera(CameraParts):
    """A V4L2 camera, read by a thread of its own so that the newest frame is always at hand.

    A frame is stamped when the driver hands it over; `capture_ms` is the time to decode it. Frames
    replaced before they were read are counted in `losses` ("late"), ids skip them, and so are
    pictures that arrive damaged ("unreadable").

    Args:
        device: path of the device.
        name: what to call it.
        size_wh: size to ask for, px; None leaves the driver's choice.
        fps: rate to ask for; None leaves the driver's choice.
        pixel_format: "mjpg" (most frames over USB 2) or "yuyv" (no loss, few frames).
        clock: stamps the frames.
        open_capture: opens the device; tests put a double here.

    Raises:
        CameraMissing: the driver refused the device.
    """

    def __init__(
        self,
        device: str,
        *,
        name: str = "",
        size_wh: tuple[int, int] | None = None,
        fps: float | None = None,
        pixel_format: str = "mjpg",
        clock: Clock = CLOCK,
        open_capture: Callable[[str], Capture] = opencv_capture,
    ) -> None:
        super().__init__(name or f"v4l2:{device}", clock=clock, live=True)
        self._capture = open_capture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraMissing(
                f"v4l2: {device} is there but does not open as a camera. Another program may hold "
                f"it (fuser {device}), or it is a camera's second node: try the one before it."
            )
        self._ask(pixel_format, size_wh, fps)
        self._index = 0
        self._broken = 0
        self._newest = Newest(
            self._take,
            self._capture.release,
            on_replaced=lambda: self._lose("late"),
            name=f"grab:{device}",
        )

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet given, or None if none came in `timeout_s`.

        Raises:
            EndOfStream: the camera was closed.
            CameraError: the device stopped giving frames.
        """
        frame = None if self._closed.is_set() else self._newest.get(timeout_s)
        if frame is None and self._closed.is_set():
            raise self._end()
        return frame

    def close(self) -> None:
        """Give the device back; a second call does nothing. Wakes a `read` in another thread."""
        super().close()
        self._newest.close()

    def _take(self) -> Frame | None:
        """Wait for a picture and decode it; None if it was damaged."""
        import cv2

        if not self._capture.grab():
            raise CameraError(
                f"{self.name}: the device stopped giving frames after {self._index}. Unplugged, "
                "short of power, or too much for its USB bus? dmesg tells; try a smaller size=."
            )
        captured_at_ns = self._clock.now_ns()
        index, self._index = self._index, self._index + 1
        good, bgr = self._capture.retrieve()
        if not good or bgr is None:
            self._lose("unreadable")
            self._broken += 1
            if self._broken >= _MOST_BROKEN:
                raise CameraError(f"{self.name}: {self._broken} damaged pictures in a row.")
            return None
        self._broken = 0
        pixels: U8 = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        capture_ms = elapsed_ms(captured_at_ns, self._clock)
        return Frame(index, pixels, captured_at_ns, f"frame-{index:06d}", capture_ms)

    def _ask(self, pixel_format: str, size_wh: tuple[int, int] | None, fps: float | None) -> None:
        """Ask the driver for a mode; it may give another, which is logged and then told."""
        import cv2

        capture = self._capture
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*pixel_format.upper()))
        if size_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size_wh[1])
        if fps is not None:
            capture.set(cv2.CAP_PROP_FPS, fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        wide = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        high = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.size_wh = (wide, high) if wide > 0 and high > 0 else None
        self.fps = rate if 0 < rate <= 1000 else None
        if size_wh not in (None, self.size_wh):
            log.warning("%s: asked for %s, the camera gives %dx%d", self.name, size_wh, wide, high)
