"""The record of a live camera: its state, and what broke it how often."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgesam_rt.cameras.health import CameraHealth, Reason, State
from edgesam_rt.secrets import redact


class Breaks:
    """Written by the thread that reads the camera, asked by any.

    Attributes:
        tries: connections begun since the last frame.
        frame_at_ns: when the last frame arrived; None before the first.
    """

    def __init__(self) -> None:
        self.tries = 0
        self.frame_at_ns: int | None = None
        self._state: State = "connecting"
        self._since_ns = 0
        self._reconnects = 0
        self._breaks: Mapping[str, int] = MappingProxyType({})
        self._reason: Reason | None = None
        self._last_error = ""

    @property
    def is_live(self) -> bool:
        """Whether frames come."""
        return self._state == "live"

    def broke(self, reason: Reason, error: str) -> None:
        """Count the end of a connection, or a refused one."""
        self._reason = reason
        self._breaks = MappingProxyType({**self._breaks, reason: self._breaks.get(reason, 0) + 1})
        self._last_error = redact(error)

    def enter(self, state: State, now_ns: int) -> str | None:
        """Change the state; return the rest of the sentence that says so, None if it is no news."""
        before, self._state = self._state, state
        if state == before:
            return None
        if state == "live":
            return self._came_back(now_ns)
        if before == "live" or not self._since_ns:
            self._since_ns = now_ns
        return f" ({self._reason}): {self._last_error}"

    def health(self, *, now_ns: int, threads: int, closed: bool) -> CameraHealth:
        """How it is now."""
        frame_at_ns = self.frame_at_ns
        return CameraHealth(
            state="closed" if closed else self._state,
            reconnects=self._reconnects,
            breaks=self._breaks,
            tries=self.tries,
            last_error=self._last_error,
            frame_age_s=None if frame_at_ns is None else (now_ns - frame_at_ns) / 1e9,
            threads=threads,
        )

    def _came_back(self, now_ns: int) -> str | None:
        tries, self.tries = self.tries, 0
        if self._reason is None:  # the first connection worked: no news
            return None
        self._reconnects += int(self.frame_at_ns is not None)
        return f" after {(now_ns - self._since_ns) / 1e9:.1f} s and {tries} tries"
