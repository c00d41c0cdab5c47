"""What a run does more when systemd started it."""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

import msgspec

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.service.heart import Heart
from edgesam_rt.service.notify import Notifier, notifier_of, watchdog_interval_s
from edgesam_rt.service.running import Running
from edgesam_rt.service.status import Facts, StatusLine

Config = TypeVar("Config", bound=msgspec.Struct)


class Service(Generic[Config]):
    """Tells systemd how the run goes, and passes on what it asks for.

    `heart.beat` belongs to the thread that makes results; all else to the main thread.

    Args:
        notifier: what tells systemd.
        interval_s: of its watchdog, or None if there is none.
        clock: for tests.
    """

    def __init__(
        self, notifier: Notifier, interval_s: float | None, *, clock: Clock = CLOCK
    ) -> None:
        self._notifier, self._clock = notifier, clock
        self.heart = Heart(notifier, interval_s, clock=clock)
        self._status = StatusLine(lambda text: notifier.send(STATUS=text), clock=clock)
        self._reload_asked = threading.Event()

    def watch(self, running: Running[Config]) -> None:
        """Say how this run goes, whose results `heart.beat` is told of; and reload it."""
        self._running = running

    def ask_reload(self) -> None:
        """Reload soon; safe in a signal handler."""
        self._reload_asked.set()

    def stop(self) -> None:
        """End the run, and say so; safe in a signal handler."""
        self._notifier.send(STOPPING=1, STATUS="stopping")
        self._running.pipeline.stop()

    def look(self) -> None:
        """Send the status line if it is time; reload if that was asked for, and results flow."""
        self._status.look(self._facts())
        if self.heart.step is not None and self._reload_asked.is_set():
            self._reload_asked.clear()
            self._say_and_reload()

    def _say_and_reload(self) -> None:
        now_usec = self._clock.now_ns() // 1000
        self._notifier.send(RELOADING=1, MONOTONIC_USEC=now_usec, STATUS="reloading")
        self._running.reload()
        self._notifier.send(READY=1)
        self._status.forget()

    def _facts(self) -> Facts:
        pipeline = self._running.pipeline
        return Facts(
            results=pipeline.results_made,
            lost=pipeline.results_lost,
            camera=pipeline.camera_health,
            step=self.heart.step,
            age_p95_ms=self.heart.age_p95_ms(),
        )


def service_of_environment() -> Service[Any] | None:
    """Return the service that systemd started, or None where it did not."""
    notifier = notifier_of()
    return None if notifier is None else Service(notifier, watchdog_interval_s())
