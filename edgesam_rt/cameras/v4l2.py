"""`v4l2:`: USB and other V4L2 cameras, through OpenCV.

Written without a camera at hand: the calls are OpenCV's documented ones and the tests run them on
a double with the same method names, but no real device has been read with this file yet.
"""

from __future__ import annotations

import glob
import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.opencv_feed import Capture, OpencvFeed
from edgesam_rt.cameras.options import patience_of, read_options
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.stamps import plausible_ns
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import CameraMissing
from edgesam_rt.imaging.quiet import quiet_opencv

log = logging.getLogger(__name__)


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> LiveCamera:
    """Open `v4l2:DEVICE`; the device may be a path, a number, or nothing for /dev/video0."""
    values = read_options(spec, SOURCES["v4l2"].options)
    target = spec.target or "0"
    device = f"/dev/video{target}" if target.isdecimal() else target

    def open_feed() -> OpencvFeed:
        return V4l2Feed(check_device(device), values, clock)

    name = spec.text or f"v4l2:{target}"
    return LiveCamera(name, open_feed, patience=patience_of(values), clock=clock)


def check_device(
    device: str,
    *,
    folder: str = "/dev",
    may_use: Callable[[str, int], bool] = os.access,
) -> str:
    """Return the path of a device that is there and may be opened, links resolved.

    Asked before every connection: a camera that was plugged in again may have another number, and
    its link in /dev/v4l/by-id then leads there.

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


class V4l2Feed(OpencvFeed):
    """An open V4L2 device, in the mode that was asked for or the nearest that it has.

    A picture is stamped by the driver, on the monotonic clock as V4L2 drivers do; if its stamp
    cannot be that, by its arrival. `capture_ms` is the time to decode it.

    Args:
        device: path of the device.
        asked: the options `size`, `fps` (None leaves the driver's choice) and `format`: "mjpg"
            (most frames over USB 2) or "yuyv" (no loss, few frames).
        clock: stamps the arrivals.
        open_capture: opens the device; tests put a double here.

    Raises:
        CameraMissing: the driver refused the device.
    """

    def __init__(
        self,
        device: str,
        asked: Mapping[str, Any],
        clock: Clock = CLOCK,
        *,
        open_capture: Callable[[str], Capture] | None = None,
    ) -> None:
        capture = (open_capture or opencv_capture)(device)
        if not capture.isOpened():
            capture.release()
            raise CameraMissing(
                f"v4l2: {device} is there but does not open as a camera. Another program may hold "
                f"it (fuser {device}), or it is a camera's second node: try the one before it."
            )
        _ask(capture, asked)
        super().__init__(
            capture,
            clock,
            stamp=_driver_stamp,
            ended=f"v4l2: {device} stopped giving frames. Unplugged, short of power, or too much "
            "for its USB bus? dmesg tells; try a smaller size=.",
        )
        _compare(device, capture, asked, self)


def _driver_stamp(capture: Capture, arrived_ns: int) -> int:
    """Return the driver's time of the picture: OpenCV gives the buffer's timestamp so."""
    import cv2

    return plausible_ns(round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6), arrived_ns)


def _ask(capture: Capture, asked: Mapping[str, Any]) -> None:
    """Ask the driver for a mode; the format comes first, for it decides which sizes there are."""
    import cv2

    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked["format"].upper()))
    if asked["size"] is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked["size"][0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked["size"][1])
    if asked["fps"] is not None:
        capture.set(cv2.CAP_PROP_FPS, asked["fps"])
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)


def _compare(device: str, capture: Capture, asked: Mapping[str, Any], given: OpencvFeed) -> None:
    """Log where the driver gives another mode than it was asked for."""
    import cv2

    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    name = code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").lower()
    for what, wanted, got in (
        ("size", asked["size"], given.size_wh),
        ("format", asked["format"], name or asked["format"]),
    ):
        if wanted not in (None, got):
            log.warning("v4l2: %s: asked for %s %s, the camera gives %s", device, what, wanted, got)
