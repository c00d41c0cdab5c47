"""What the cameras have in common: telling about themselves, counting losses, keeping time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.clock import Clock
from edgesam_rt.errors import EndOfStream


class CameraParts:
    """The fields of `Camera`, its losses and its `close`; a camera adds `read`."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        size_wh: tuple[int, int] | None = None,
        live: bool = False,
        fps: float | None = None,
        length: int | None = None,
    ) -> None:
        self.name = name
        self.size_wh = size_wh
        self.live = live
        self.fps = fps
        self.length = length
        self.losses: Mapping[str, int] = MappingProxyType({})
        self._clock = clock
        self._closed = threading.Event()
        self._counting = threading.Lock()

    @property
    def health(self) -> CameraHealth:
        """A source that cannot break while it is open is live until it is closed."""
        return CameraHealth("closed" if self._closed.is_set() else "live")

    def close(self) -> None:
        """End the stream; a second call does nothing. Wakes a `read` in another thread."""
        self._closed.set()

    def _lose(self, reason: str, count: int = 1) -> None:
        """Count lost frames; readers of `losses` keep the mapping that they have."""
        if count > 0:
            with self._counting:
                so_far = self.losses.get(reason, 0)
                self.losses = MappingProxyType({**self.losses, reason: so_far + count})

    def _end(self) -> EndOfStream:
        """Return the exception of a source that has no more frames."""
        why = "closed" if self._closed.is_set() else "no more frames"
        return EndOfStream(f"{self.name}: {why}.")


class Pace:
    """Gives frames at their time: frame i is due i / fps seconds after the first was asked for."""

    def __init__(self, fps: float, clock: Clock, closed: threading.Event) -> None:
        self._period_ns = 1e9 / fps
        self._clock = clock
        self._closed = closed
        self._start_ns: int | None = None

    def wait(self, index: int, timeout_s: float) -> int | None:
        """Wait until frame `index` is due.

        Returns:
            The newest frame that is due by then, `index` or later; None if `index` is not due in
            time or the camera was closed.
        """
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        wait_s = (self._start_ns + index * self._period_ns - now_ns) / 1e9
        if wait_s > timeout_s:
            self._closed.wait(max(timeout_s, 0.0))
            return None
        if self._closed.wait(max(wait_s, 0.0)):
            return None
        return max(index, int((self._clock.now_ns() - self._start_ns) / self._period_ns))
