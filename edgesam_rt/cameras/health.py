"""How a camera is: what a health page and a metric can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

State = Literal["connecting", "live", "lost", "stuck", "closed"]
Reason = Literal["ended", "stalled", "garbage", "refused"]


@dataclass(frozen=True)
class CameraHealth:
    """How a camera was when it was asked.

    Attributes:
        state: "connecting" before the first frame, "live", "lost" while it is tried again, "stuck"
            when so many of its threads hang in the driver that no other is started, "closed".
        reconnects: how often it came back.
        breaks: how often a connection was lost or refused, by reason: "ended" (the device or the
            server stopped), "stalled" (no frame by the deadline), "garbage" (nothing but damaged
            pictures), "refused" (it could not be opened).
        tries: connections tried since the last frame.
        last_error: what was wrong the last time, without secrets; "" if nothing was.
        frame_age_s: time since the last frame arrived; None before the first.
        threads: readers alive, those given up included.
    """

    state: State
    reconnects: int = 0
    breaks: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    tries: int = 0
    last_error: str = ""
    frame_age_s: float | None = None
    threads: int = 0
