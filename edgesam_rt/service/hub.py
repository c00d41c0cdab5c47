"""The newest result, for whoever wants to look: pages, pictures, metrics.

The thread that makes results puts them here in constant time and never waits; what it costs to
turn one into JSON or a picture is paid by those who ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.records import Result
from edgesam_rt.service.tally import Tally


class Hub:
    """Keeps the newest result. `put` belongs to the thread that makes results, all else to any.

    Args:
        clock: when results were made.

    Attributes:
        tally: what the results so far add up to.
        made_at_ns: when the newest was made, or None before the first.
    """

    def __init__(self, *, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._newest: Result | None = None
        self._listeners: tuple[Callable[[], None], ...] = ()
        self.tally = Tally()
        self.made_at_ns: int | None = None

    def put(self, result: Result) -> None:
        """Take a result that was just made."""
        now_ns = self._clock.now_ns()
        self.tally.add(result, now_ns)
        with self._changed:
            self._newest, self.made_at_ns = result, now_ns
            self._changed.notify_all()
        for tell in self._listeners:
            tell()

    def newest(self) -> Result | None:
        """The newest result, or None before the first."""
        return self._newest

    def wait_newer(self, frame_id: int | None, timeout_s: float) -> Result | None:
        """Wait for a result of a later frame.

        Args:
            frame_id: of the result that is known; None takes any.
            timeout_s: how long to wait.

        Returns:
            The newest result, or None if there was no newer one in time.
        """

        def is_newer() -> bool:
            newest = self._newest
            return newest is not None and (frame_id is None or newest.frame.frame_id > frame_id)

        with self._changed:
            return self._newest if self._changed.wait_for(is_newer, timeout_s) else None

    def listen(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Call `tell`, which must be quick, after every result; returns what ends that."""
        with self._changed:
            self._listeners += (tell,)

        def stop() -> None:
            with self._changed:
                self._listeners = tuple(each for each in self._listeners if each is not tell)

        return stop
