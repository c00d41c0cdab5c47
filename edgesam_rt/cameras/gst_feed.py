"""A feed over a GStreamer pipeline: PyGObject where it is, else an OpenCV built with GStreamer.

pip's OpenCV has no GStreamer, on no processor. PyGObject comes with the system (Debian, Raspberry
Pi OS, JetPack: python3-gi); an environment sees it with --system-site-packages.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np

from edgesam_rt.cameras.feed import DamagedPicture, Feed, Picture
from edgesam_rt.cameras.opencv_feed import OpencvFeed
from edgesam_rt.cameras.stamps import plausible_ns
from edgesam_rt.clock import Clock, elapsed_ms
from edgesam_rt.errors import CameraError, CameraMissing
from edgesam_rt.secrets import redact
from edgesam_rt.types import U8

_PULL_S = 0.2  # how long one wait for a picture is; then the pipeline's messages are read
_START_S = 10.0  # until a pipeline plays
# The newest picture waits, older ones are dropped: the sink never holds the pipeline up.
_SINK = "videoconvert ! video/x-raw,format={order} ! appsink name={name}"
_APPSINK = "edgesam"
_DROP = " max-buffers=1 drop=true sync=false"


def open_pipeline(pipeline: str, clock: Clock, *, name: str) -> Feed:
    """Open a pipeline's text, without its sink, by whichever library is here.

    Raises:
        CameraMissing: neither library is here, or the pipeline does not play.
    """
    try:
        gst = load_gst()
    except (ImportError, ValueError):
        return _open_in_opencv(pipeline, clock, name)
    return GstFeed(gst, pipeline, clock, name=name)


def load_gst() -> Any:
    """Return the system's GStreamer, ready for use.

    Raises:
        ImportError, ValueError: PyGObject or GStreamer's description for it is not installed.
    """
    gi = importlib.import_module("gi")
    gi.require_version("Gst", "1.0")
    gst = importlib.import_module("gi.repository.Gst")
    gst.init(None)
    return gst


class GstFeed:
    """A playing pipeline.

    A picture is stamped by its buffer: the pipeline runs on the system's monotonic clock, so its
    time plus the pipeline's start is ours. `capture_ms` is the time to copy it out.

    Args:
        gst: GStreamer, see `load_gst`.
        pipeline: the text of a pipeline that ends before its sink.
        clock: stamps the arrivals.
        name: what to call it, without secrets.

    Raises:
        CameraMissing: the text is no pipeline, an element is missing, or it does not play.
    """

    def __init__(self, gst: Any, pipeline: str, clock: Clock, *, name: str) -> None:
        self._gst, self._clock, self._name = gst, clock, name
        sink = _SINK.format(order="RGB", name=_APPSINK) + _DROP
        try:
            self._pipeline = gst.parse_launch(f"{pipeline} ! {sink}")
        except Exception as error:  # noqa: BLE001 - GLib.Error, whose class is not known here
            raise CameraMissing(f"{name}: {_words(error)}{_element_hint(error)}") from None
        self._pipeline.use_clock(gst.SystemClock.obtain())
        self._sink = self._pipeline.get_by_name(_APPSINK)
        self._bus = self._pipeline.get_bus()
        self.size_wh: tuple[int, int] | None = None
        self.fps: float | None = None
        self._play()

    def take(self) -> Picture | None:
        """Wait for the next picture; None if there was none yet."""
        sample = self._sink.emit("try-pull-sample", round(_PULL_S * 1e9))
        if sample is None:
            self._heed()
            return None
        arrived_ns = self._clock.now_ns()
        buffer = sample.get_buffer()
        pixels = self._pixels(buffer, self._size(sample))
        stamp_ns = arrived_ns
        if buffer.pts != self._gst.CLOCK_TIME_NONE:
            stamp_ns = plausible_ns(buffer.pts + self._pipeline.get_base_time(), arrived_ns)
        return Picture(pixels, stamp_ns, elapsed_ms(arrived_ns, self._clock))

    def close(self) -> None:
        """Stop the pipeline, and let it go: it holds descriptors as long as anybody holds it."""
        self._pipeline.set_state(self._gst.State.NULL)
        self._pipeline = self._sink = self._bus = None

    def _play(self) -> None:
        """Start the pipeline, and hear what it says meanwhile."""
        self._pipeline.set_state(self._gst.State.PLAYING)
        try:
            self._wait_until_it_plays()
        except CameraError as error:
            self.close()
            raise CameraMissing(str(error)) from None

    def _wait_until_it_plays(self) -> None:
        change = self._gst.StateChangeReturn
        for _ in range(round(_START_S / _PULL_S)):
            state = self._pipeline.get_state(round(_PULL_S * 1e9))[0]
            if state in (change.SUCCESS, change.NO_PREROLL):
                return
            self._heed(wait_s=_PULL_S if state == change.FAILURE else 0.0)
        raise CameraError(f"{self._name}: the pipeline does not play within {_START_S:g} s.")

    def _heed(self, wait_s: float = 0.0) -> None:
        """Raise what the pipeline has to say of its end."""
        kinds = self._gst.MessageType.ERROR | self._gst.MessageType.EOS
        message = self._bus.timed_pop_filtered(round(wait_s * 1e9), kinds)
        if message is None:
            return
        if message.type == self._gst.MessageType.EOS:
            raise CameraError(f"{self._name}: the pipeline ended.")
        error, details = message.parse_error()
        raise CameraError(f"{self._name}: {_words(error)} ({redact(_last_line(details))})")

    def _size(self, sample: Any) -> tuple[int, int]:
        """Return width and height of a sample, and keep them with its rate."""
        structure = sample.get_caps().get_structure(0)
        wide, high = structure.get_value("width"), structure.get_value("height")
        found, top, bottom = structure.get_fraction("framerate")
        self.fps = top / bottom if found and top and bottom else None
        self.size_wh = (wide, high)
        return wide, high

    def _pixels(self, buffer: Any, size_wh: tuple[int, int]) -> U8:
        """Copy a buffer out; its rows are padded."""
        (wide, high), size = size_wh, buffer.get_size()
        stride = size // high
        if stride < 3 * wide:
            raise DamagedPicture(f"{size} bytes for {wide}x{high}")
        rows = np.frombuffer(buffer.extract_dup(0, size), np.uint8, stride * high)
        return np.array(rows.reshape(high, stride)[:, : 3 * wide].reshape(high, wide, 3))


def _open_in_opencv(pipeline: str, clock: Clock, name: str) -> Feed:
    """Open a pipeline with OpenCV, where its build has GStreamer (JetPack's own has)."""
    if not _opencv_has_gstreamer():
        raise CameraMissing(
            f"{name}: GStreamer cannot be reached from this Python. Run: sudo apt install "
            "python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good; "
            "then use an environment made with python3 -m venv --system-site-packages."
        )
    import cv2

    sink = _SINK.format(order="BGR", name=_APPSINK) + _DROP
    capture = cv2.VideoCapture(f"{pipeline} ! {sink}", cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        capture.release()
        raise CameraMissing(f"{name}: the pipeline does not play. Try it with gst-launch-1.0.")
    return OpencvFeed(
        capture, clock, stamp=lambda _, arrived_ns: arrived_ns, ended=f"{name}: the pipeline ended."
    )


def _opencv_has_gstreamer() -> bool:
    import cv2

    return bool(re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()))


def _words(error: Any) -> str:
    """The text of a GLib error, without secrets."""
    return redact(str(getattr(error, "message", error))).rstrip(".") + "."


def _element_hint(error: Any) -> str:
    """What to do about a missing element."""
    found = re.search(r'no element "([\w-]+)"', str(error))
    return f" gst-inspect-1.0 {found[1]} tells; apt-file finds its package." if found else ""


def _last_line(details: str | None) -> str:
    return (details or "").strip().splitlines()[-1] if (details or "").strip() else "no details"
