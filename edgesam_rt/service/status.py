"""The line that `systemctl status` shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.clock import CLOCK, Clock

EVERY_S = 5.0


@dataclass(frozen=True)
class Facts:
    """What the line is made of.

    Attributes:
        results: made so far.
        lost: results that sinks lost so far.
        camera: how it is.
        step: ladder step of the newest result; None before the first.
        age_p95_ms: capture to result, of the newest results; None before the first.
    """

    results: int
    lost: int
    camera: CameraHealth
    step: int | None
    age_p95_ms: float | None


class StatusLine:
    """Sends the line when camera or ladder change, and every few seconds.

    Args:
        send: takes the line.
        clock: when.
    """

    def __init__(self, send: Callable[[str], None], *, clock: Clock = CLOCK) -> None:
        self._send, self._clock = send, clock
        self._sent_at_ns = clock.now_ns()
        self._results = 0
        self._fps = 0.0
        self._state: object = None

    def forget(self) -> None:
        """Send the line the next time, whether or not it changed."""
        self._state = None

    def look(self, facts: Facts) -> None:
        """Send the line if it is time."""
        now_ns = self._clock.now_ns()
        since_s = (now_ns - self._sent_at_ns) / 1e9
        state = (facts.camera.state, facts.camera.reconnects, facts.step, facts.lost > 0)
        if state == self._state and since_s < EVERY_S:
            return
        if since_s >= EVERY_S or not self._fps:
            self._fps = (facts.results - self._results) / max(since_s, 0.1)
            self._sent_at_ns, self._results = now_ns, facts.results
        self._state = state
        self._send(line(facts, self._fps))


def line(facts: Facts, fps: float) -> str:
    """Return the facts in one line."""
    camera = facts.camera
    if facts.step is None or facts.age_p95_ms is None:
        return f"no result yet, camera {camera.state}{_why(camera)}"
    parts = [
        f"{fps:.1f} results per second",
        f"ladder step {facts.step}",
        f"age p95 {facts.age_p95_ms:.0f} ms",
        f"{camera.reconnects} reconnects",
    ]
    if facts.lost:
        parts.append(f"{facts.lost} results lost by sinks")
    if camera.state != "live":
        parts.insert(0, f"camera {camera.state}{_why(camera)}")
    return ", ".join(parts)


def _why(camera: CameraHealth) -> str:
    return f" ({camera.last_error})" if camera.last_error else ""
