"""`file:`: a video, through OpenCV's FFmpeg; as fast as it is read, or at its own pace."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.parts import CameraParts, Pace
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.errors import CameraError, ConfigError
from edgesam_rt.imaging.files import no_such_file
from edgesam_rt.imaging.quiet import quiet_opencv
from edgesam_rt.records import Frame

log = logging.getLogger(__name__)

_FPS_IF_UNKNOWN = 25.0
_DECODER_THREADS = 2  # each holds frames; more is no faster at the sizes a board reads
_MOST_FRAMES = 10**8  # containers without an index state -1, or numbers beyond all sense


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> VideoCamera:
    """Open `file:PATH`."""
    values = read_options(spec, SOURCES["file"].options)
    return VideoCamera(
        Path(spec.target),
        name=spec.text or spec.target,
        start_s=values["start"],
        every=values["every"],
        loop=values["loop"],
        live=values["live"],
        clock=clock,
    )


class VideoCamera(CameraParts):
    """A video file; frames are turned as its rotation mark says.

    `length` is what the container states, and containers lie: a video that ends early logs a
    warning and counts the rest in `losses` ("missing").

    Args:
        path: the file.
        name: what to call it.
        start_s: begin at this time, seconds.
        every: give each N-th frame only; frame ids count what is given.
        loop: begin again at the end; `length` is None then.
        live: play at the video's pace, from the first read on. A read gives the newest frame that
            is due; those it passes over are counted in `losses` ("late"), and ids skip them.
        clock: stamps the frames and keeps the pace.

    Raises:
        ConfigError: no such file, or `start_s` lies after the end.
        CameraError: not a video, or its index is missing.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        start_s: float = 0.0,
        every: int = 1,
        loop: bool = False,
        live: bool = False,
        clock: Clock = CLOCK,
    ) -> None:
        super().__init__(name or str(path), clock=clock, live=live)
        self._path, self._start_s, self._every, self._loop = path, start_s, every, loop
        self._lock = threading.Lock()  # held while the capture is in use: close waits for it
        self._capture = self._open()
        self._describe()
        self._pace = Pace(self.fps or _FPS_IF_UNKNOWN, clock, self._closed) if live else None
        self._next = 0  # id of the next frame
        self._in_this_pass = 0  # frames grabbed since the file was opened or rewound, as kept
        self._outcome: CameraError | None = None  # why there are no more frames

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame; only a live one is waited for, up to `timeout_s`.

        Raises:
            EndOfStream: there are no more.
            CameraError: not one frame could be decoded.
        """
        if self._outcome is not None:
            raise self._outcome
        index: int | None = self._next
        if self._pace is not None:
            index = self._pace.wait(self._next, timeout_s)
        if self._closed.is_set():
            raise self._end()
        if index is None:
            return None
        if self.length is not None:
            index = max(self._next, min(index, self.length - 1))
        return self._take(index)

    def close(self) -> None:
        """Close the file; a second call does nothing. Wakes a `read` in another thread."""
        super().close()
        with self._lock:
            self._capture.release()

    def _take(self, index: int) -> Frame:
        """Return frame `index`; the ones before it are lost."""
        import cv2

        with self._lock:
            start_ns = self._clock.now_ns()
            if self._closed.is_set():
                raise self._end()
            passed = index - self._next
            given, bgr = False, None
            if all(self._grab() for _ in range(passed + 1)):
                given, bgr = self._capture.retrieve()
            if not given or bgr is None:
                self._outcome = self._finish()
                raise self._outcome
            pixels: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        self._lose("late", passed)
        self._next = index + 1
        capture_ms = elapsed_ms(start_ns, self._clock)
        return Frame(index, pixels, self._clock.now_ns(), f"frame-{index:06d}", capture_ms)

    def _grab(self) -> bool:
        """Move to the next frame to give, from the end to the beginning if it loops."""
        steps = self._every if self._in_this_pass else 1
        if not all(self._capture.grab() for _ in range(steps)):
            if not (self._loop and self._in_this_pass):
                return False
            self._capture.release()
            self._capture = self._open()
            self._in_this_pass = 0
            return self._grab()
        self._in_this_pass += 1
        return True

    def _finish(self) -> CameraError:
        """Return what the end is, and say so if it came too early."""
        if self._in_this_pass == 0:
            return CameraError(
                f"{self.name}: opened, but no frame could be decoded. Play it with ffplay, or "
                f"convert it: ffmpeg -i {self._path} -c:v libx264 new.mp4"
            )
        if self.length is not None and self._in_this_pass < self.length:
            self._lose("late", self._in_this_pass - self._next)
            self._lose("missing", self.length - self._in_this_pass)
            had = self._in_this_pass
            log.warning("%s: ended after %d of %d frames", self.name, had, self.length)
        return self._end()

    def _open(self) -> Any:
        import cv2

        if not self._path.is_file():
            raise ConfigError(
                f"{self._path}: is a folder; images:{self._path} reads its pictures."
                if self._path.is_dir()
                else no_such_file(self._path)
            )
        if not os.access(self._path, os.R_OK):
            raise CameraError(f"{self._path}: no permission to read it.")
        whole = str(self._path.absolute())  # FFmpeg takes "a:b.mp4" for a protocol called a
        with quiet_opencv():
            capture = cv2.VideoCapture(
                whole, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, _DECODER_THREADS]
            )
        if not capture.isOpened():
            raise CameraError(
                f"{self._path}: cannot be opened as a video ({self._path.stat().st_size:,} bytes): "
                "not a video, or a recording that was cut off before its index was written. "
                "ffprobe tells more."
            )
        if self._start_s:
            capture.set(cv2.CAP_PROP_POS_MSEC, 1000.0 * self._start_s)
        return capture

    def _describe(self) -> None:
        """Fill in what the container says about itself."""
        import cv2

        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps / self._every if 0.1 <= fps <= 1000 else None
        wide, high = (
            int(self._capture.get(i)) for i in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        self.size_wh = (wide, high) if wide > 0 and high > 0 else None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if not 0 < count < _MOST_FRAMES:
            return
        first = int(self._capture.get(cv2.CAP_PROP_POS_FRAMES)) if self._start_s else 0
        if first >= count:
            self._capture.release()
            raise ConfigError(
                f"{self.name}: start={self._start_s:g} lies after the end; it has {int(count)} "
                f"frames" + (f", {count / fps:.1f} s." if self.fps else ".")
            )
        if not self._loop:
            self.length = -(-(int(count) - first) // self._every)
