"""Results drawn on their pictures: a video, one picture, or a folder of pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.drawing import overlay
from edgesam_rt.paths import user_path
from edgesam_rt.records import Result
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.pictures import SUFFIXES, Pictures, refuse_other_media
from edgesam_rt.sinks.rate import Rate
from edgesam_rt.sinks.spec import SinkSpec
from edgesam_rt.sinks.video import CODECS, VideoFile
from edgesam_rt.types import U8

_DEFAULT_FPS = 10.0
_MAX_FPS = 240.0
_MAX_GAP_S = 5.0  # of a live source: a longer pause is cut short in the video


class _Output(Protocol):
    """Where drawn pictures go."""

    def add(self, pixels: U8, result: Result) -> None:
        """Take one picture."""

    def close(self) -> None:
        """Finish."""


class OverlaySink:
    """Draws every result (`drawing/overlay.py`) and writes it.

    The path decides what is made:
        .mp4 .webm .avi .mkv: a video, of the first picture's size. A live source's video runs at
            the world's pace; others show every picture once.
        .png .jpg: one picture; if more come, the second is NAME-000002.png, and so on.
        anything else: a folder with a PNG per picture, named like the frame.
    """

    def __init__(
        self,
        path: Path,
        info: RunInfo | None = None,
        *,
        fps: float | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        """Check the path and make folders; a video is begun with the first result.

        Args:
            path: what to write; see above.
            info: the source's rate, and whether it is live.
            fps: of a video, instead of the source's.
            clock: what the rate shown is measured with.

        Raises:
            ConfigError: a folder is where a file should be, or the other way round.
            SinkError: it may not be written.
        """
        self.name = f"overlay:{path}"
        self._out = _open_output(path, info or RunInfo(), fps, self.name)
        self._rate = Rate(clock)

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> OverlaySink:
        """Open it for a parsed spec; the option `fps` is the video's rate."""
        return cls(user_path(spec.target), info, fps=spec.options["fps"])

    def write(self, result: Result) -> None:
        """Draw and write one result."""
        self._out.add(overlay.draw(result, fps=self._rate.after_one_more()), result)

    def close(self) -> None:
        """Finish the video."""
        self._out.close()


def _open_output(path: Path, info: RunInfo, fps: float | None, who: str) -> _Output:
    suffix = path.suffix.lower()
    if suffix in CODECS and not path.is_dir():
        return _Video(path, info, fps, who)
    refuse_other_media(path, who, written=(*CODECS, *SUFFIXES))
    return Pictures(path, who)


class _Video:
    """One video file."""

    def __init__(self, path: Path, info: RunInfo, fps: float | None, who: str) -> None:
        known = info.fps if info.fps and 0 < info.fps < math.inf else _DEFAULT_FPS
        self._fps = fps or min(known, _MAX_FPS)
        self._file = VideoFile(path, self._fps, who)
        self._is_live = info.live
        self._end_ns: float = 0.0  # what is in the file lasts until then, on the frames' clock

    def add(self, pixels: U8, result: Result) -> None:
        self._file.add(pixels, self._repeats(result.frame.captured_at_ns))

    def _repeats(self, captured_at_ns: int) -> int:
        """For how many frames a picture is shown, so that a live video keeps time."""
        if not self._is_live:
            return 1
        frame_ns = 1e9 / self._fps
        gap_ns = captured_at_ns - self._end_ns
        if not self._file.frames or gap_ns > _MAX_GAP_S * 1e9:
            self._end_ns = captured_at_ns + frame_ns
            return 1
        count = max(0, round(gap_ns / frame_ns) + 1)
        self._end_ns += count * frame_ns
        return count

    def close(self) -> None:
        self._file.close()
