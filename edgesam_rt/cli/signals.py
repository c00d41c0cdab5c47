"""Signals that end a run in order, and the one that asks a service to reload."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_by_signals(
    stop: Callable[[], None], on_hangup: Callable[[], None] | None = None
) -> Iterator[list[int]]:
    """Let SIGINT, SIGTERM and SIGHUP call `stop`; a second one ends the process.

    Args:
        stop: asks the run to end; called in the signal's handler.
        on_hangup: called for SIGHUP instead, as often as it comes.

    Yields:
        The signals that ended it, filled as they come.
    """
    received: list[int] = []
    before: dict[int, object] = {}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and on_hangup is not None:
            on_hangup()
            return
        received.append(number)
        stop()
        for n in before:
            signal.signal(n, signal.SIG_DFL)

    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[which] = signal.signal(which, on_signal)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
