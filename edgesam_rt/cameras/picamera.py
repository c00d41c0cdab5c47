"""`picamera:`: ribbon cameras of a Raspberry Pi, through picamera2.

Written against picamera2 0.3.38's own signatures (tests/doubles/picamera2_surface.json); no camera
was met yet. picamera2 comes with Raspberry Pi OS, not from an index.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from concurrent.futures import TimeoutError as StillWaiting
from typing import Any, NamedTuple

import numpy as np

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.feed import Feed, Picture
from edgesam_rt.cameras.options import patience_of, read_options
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.stamps import plausible_ns
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.errors import CameraMissing, ConfigError
from edgesam_rt.types import U8

_WAIT_S = 0.5  # how long one wait for a picture is; a silent camera never holds the thread
_RGB = "BGR888"  # libcamera counts from the other end: this one is R, G, B in memory
_YUV = "YUV420"  # the only format that every Pi's second output has


class Library(NamedTuple):
    """What is used of picamera2 and libcamera."""

    picamera2: Any
    transform: Any


def load_library() -> Library:
    """Return the system's picamera2.

    Raises:
        ImportError: it is not installed, or hidden from this environment.
    """
    picamera2 = importlib.import_module("picamera2")
    return Library(picamera2.Picamera2, importlib.import_module("libcamera").Transform)


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> LiveCamera:
    """Open `picamera:NUMBER`; nothing is camera 0."""
    values = read_options(spec, SOURCES["picamera"].options)
    name = spec.text or f"picamera:{spec.target}"
    if spec.target and not spec.target.isdecimal():
        raise ConfigError(f"source {name!r}: expected a camera's number, as picamera:0.")
    if values["lores"] and any(a > b for a, b in zip(values["lores"], values["size"], strict=True)):
        raise ConfigError(
            f"source {name!r}: lores is larger than size; it may be as large at most."
        )
    library = load_library()

    def open_feed() -> Feed:
        return PicameraFeed(library, int(spec.target or 0), values, clock, name=name)

    return LiveCamera(name, open_feed, patience=patience_of(values), clock=clock)


class PicameraFeed:
    """A running camera in its video configuration.

    Frames come from the main stream at `size`; with `lores` from the picture processor's second
    output, which every Pi scales in hardware and gives as YUV420, half the bytes. Nothing is
    queued (`queue=False`): a picture is one that was taken after it was asked for. Its buffer goes
    back as soon as it is copied. It is stamped by its `SensorTimestamp`: the first row's exposure.

    Args:
        library: see `load_library`.
        number: which camera.
        values: the options, see `cameras/table.py`.
        clock: stamps the arrivals.
        name: what to call it.

    Raises:
        CameraMissing: there is no such camera, or another program holds it.
    """

    def __init__(
        self, library: Library, number: int, values: Mapping[str, Any], clock: Clock, *, name: str
    ) -> None:
        self._clock = clock
        self._stream = "lores" if values["lores"] else "main"
        self._job: Any = None
        self._camera = _opened(library, number, name)
        try:
            self._camera.configure(_configuration(self._camera, library, values))
            self._camera.start()
        except Exception as error:
            self._camera.close()
            raise CameraMissing(f"{name}: the camera does not start: {error}.") from error
        self._wide, high = map(int, self._camera.camera_configuration()[self._stream]["size"])
        self.size_wh: tuple[int, int] | None = (self._wide, high)
        self.fps: float | None = values["fps"]

    def take(self) -> Picture | None:
        """Wait for the next picture; None if there was none yet."""
        if self._job is None:
            self._job = self._camera.capture_request(wait=False)
        try:
            request = self._camera.wait(self._job, timeout=_WAIT_S)
        except StillWaiting:
            return None
        self._job = None
        arrived_ns = self._clock.now_ns()
        try:
            pixels = self._pixels(request)
            stamp_ns = int(request.get_metadata().get("SensorTimestamp", arrived_ns))
        finally:
            request.release()
        captured_at_ns = plausible_ns(stamp_ns, arrived_ns)
        return Picture(pixels, captured_at_ns, elapsed_ms(arrived_ns, self._clock))

    def close(self) -> None:
        """Stop and give the camera back."""
        if self._job is not None:
            self._camera.cancel_all_and_flush()
        self._camera.stop()
        self._camera.close()

    def _pixels(self, request: Any) -> U8:
        """Copy a picture out as RGB, without the padding of its rows."""
        pixels: U8 = request.make_array(self._stream)
        if self._stream == "main":
            return pixels
        import cv2

        rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_YUV2RGB_I420), np.uint8)
        return rgb if rgb.shape[1] == self._wide else rgb[:, : self._wide].copy()


def _opened(library: Library, number: int, name: str) -> Any:
    try:
        return library.picamera2(number)
    except (RuntimeError, IndexError) as error:
        there = library.picamera2.global_camera_info()
        known = ", ".join(f"{i}: {each.get('Model', '?')}" for i, each in enumerate(there))
        raise CameraMissing(
            f"{name}: {error}. Cameras here: {known or 'none'}. Is its ribbon in, and does no "
            "other program hold it? rpicam-hello --list-cameras tells."
        ) from error


def _configuration(camera: Any, library: Library, values: Mapping[str, Any]) -> Any:
    """Return picamera2's video configuration for the options."""
    turned = values["rotation"] == "180"
    controls: dict[str, Any] = dict(values["controls"] or {})
    if values["fps"]:
        period_us = round(1e6 / values["fps"])
        controls["FrameDurationLimits"] = (period_us, period_us)
    return camera.create_video_configuration(
        main={"size": values["size"], "format": _RGB},
        lores={"size": values["lores"], "format": _YUV} if values["lores"] else None,
        transform=library.transform(
            hflip=values["hflip"] != turned, vflip=values["vflip"] != turned
        ),
        controls=controls,
        queue=False,
    )
