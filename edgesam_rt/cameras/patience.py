"""How long a live camera is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long a live camera is waited for.

    Attributes:
        open_s: from a try to its first frame.
        stall_s: from one frame to the next.
        retry_s: at most between two tries.
        wait: whether a camera that was never there is waited for; else that is an error.
    """

    open_s: float = 15.0
    stall_s: float = 5.0
    retry_s: float = 30.0
    wait: bool = False
