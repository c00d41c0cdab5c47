"""The heart of the service: it beats with results, and with nothing else.

`beat` is called by the thread that makes results, so a stalled camera, a hung engine and a stuck
thread all look the same to systemd: no beat, and after WatchdogSec a new process.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

import numpy as np

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.records import Result
from edgesam_rt.service.notify import Notifier

BEATS = 4  # signs of life per watchdog interval, at most
RECENT = 300  # results whose age counts
log = logging.getLogger(__name__)


class Heart:
    """Tells systemd of the first result, and of later ones a few times per watchdog interval.

    Args:
        notifier: what tells systemd.
        interval_s: of its watchdog, or None if there is none.
        clock: when to beat.

    Attributes:
        step: ladder step of the newest result; None before the first.
    """

    def __init__(
        self, notifier: Notifier, interval_s: float | None, *, clock: Clock = CLOCK
    ) -> None:
        self._notifier, self._clock = notifier, clock
        self._pause_ns = None if interval_s is None else int(interval_s / BEATS * 1e9)
        self._beat_at_ns = 0
        self._ages_ms: deque[float] = deque(maxlen=RECENT)
        self._lock = threading.Lock()
        self.step: int | None = None

    def beat(self, result: Result) -> None:
        """Take note of a result that was just made."""
        with self._lock:
            self._ages_ms.append(result.timings.age_ms)
        now_ns = self._clock.now_ns()
        if self.step is None:
            self._beat_at_ns = now_ns
            self._notifier.send(READY=1, WATCHDOG=1)
            log.info("ready: the first result is there")
        elif self._pause_ns is not None and now_ns - self._beat_at_ns >= self._pause_ns:
            self._beat_at_ns = now_ns
            self._notifier.send(WATCHDOG=1)
        self.step = result.ladder_step

    def age_p95_ms(self) -> float | None:
        """95th percentile of the newest results' ages; None before the first."""
        with self._lock:
            ages = list(self._ages_ms)
        return float(np.percentile(ages, 95)) if ages else None
