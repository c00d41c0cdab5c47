"""`rtsp:`: network cameras, through OpenCV's FFmpeg."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.feed import Picture
from edgesam_rt.cameras.opencv_feed import Capture, OpencvFeed
from edgesam_rt.cameras.options import patience_of, read_options
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.rtsp_answer import why_not
from edgesam_rt.cameras.stamps import StreamTime
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import CameraMissing
from edgesam_rt.imaging.quiet import quiet_opencv
from edgesam_rt.secrets import read_login, redact, with_login

# Nothing is kept back, and one thread decodes: each more would hold one frame.
_OPTIONS = "rtsp_transport;{transport}|fflags;nobuffer|flags;low_delay"
_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOG_LEVEL = {"OPENCV_FFMPEG_LOGLEVEL": "-8"}  # FFmpeg's own words could tell an address
_MOST_OPEN_S = 10.0  # FFmpeg's part of `open`; the rest is for the first frame
_opening = threading.Lock()  # OpenCV takes FFmpeg's options from the environment alone


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> LiveCamera:
    """Open `rtsp://HOST/PATH`."""
    import cv2  # noqa: F401 - what is missing shows here, not in a thread

    values = read_options(spec, SOURCES["rtsp"].options)
    url = spec.secret or spec.target
    name = redact(spec.text or spec.target)

    def open_feed() -> OpencvFeed:
        login = read_login(values["login_env"], values["login_file"])
        return RtspFeed(with_login(url, login) if login else url, values, clock, name=name)

    return LiveCamera(name, open_feed, patience=patience_of(values), clock=clock)


class RtspFeed(OpencvFeed):
    """An open stream.

    A picture is stamped by its time in the stream, laid onto the arrivals so that the network's
    jitter is out of it; the delay that all pictures share cannot be seen and is not in it.

    Args:
        url: with its login, which goes to FFmpeg and nowhere else.
        values: the options `transport`, `probe`, `open`, `stall`.
        clock: stamps the arrivals.
        name: what to call it, without secrets.

    Raises:
        CameraMissing: nothing answers there, or not with this stream.
    """

    def __init__(self, url: str, values: Mapping[str, Any], clock: Clock, *, name: str) -> None:
        capture = _open(url, values)
        if not capture.isOpened():
            capture.release()
            raise CameraMissing(f"{name}: {why_not(url, values['transport'])}")
        self._time = StreamTime()
        super().__init__(capture, clock, stamp=self._stamped, ended=f"{name}: the stream ended.")

    def take(self) -> Picture | None:
        """Wait for the next picture."""
        with quiet_opencv():  # it logs its timeouts; ours say more, and say it once
            return super().take()

    def _stamped(self, capture: Capture, arrived_ns: int) -> int:
        import cv2

        return self._time.captured_ns(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, arrived_ns)


def _open(url: str, values: Mapping[str, Any]) -> Capture:
    import cv2

    open_ms = round(min(values["open"], _MOST_OPEN_S) * 1000)
    asked = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_ms, cv2.CAP_PROP_N_THREADS, 1]
    asked += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(values["stall"] * 1000)]
    options = _OPTIONS.format(transport=values["transport"])
    if values["probe"] is not None:
        options += f"|analyzeduration;{round(values['probe'] * 1e6)}"
    with _opening, quiet_opencv(), _environment(_LOG_LEVEL | {_VARIABLE: options}):
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, asked)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables inside the block; what stood there before returns."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
