"""Who gets results: a lane for each sink. Lanes may come and go while a run goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edgesam_rt.clock import Clock
from edgesam_rt.errors import SinkError
from edgesam_rt.pipeline.metrics import Metrics
from edgesam_rt.records import Result
from edgesam_rt.slot import Policy, Slot

_SAY_EVERY_S = 60.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Lane:
    """One consumer of results.

    Attributes:
        name: of the sink.
        slot: it is fed through.
        place: what no other sink may hold meanwhile, as a file or a port; "" if nothing.
        ended: set when the sink is closed.
    """

    name: str
    slot: Slot[Result]
    place: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class Lanes:
    """All lanes of a run; safe to change while another thread goes through them."""

    def __init__(self, lanes: Iterable[Lane] = ()) -> None:
        self._lanes = tuple(lanes)
        self._policy: Policy | None = None
        self._closed = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Lane]:
        """Those there are now."""
        return iter(self._lanes)

    def set_policy(self, policy: Policy) -> None:
        """What a full slot does, for these lanes and those to come."""
        with self._lock:
            self._policy = policy
            for lane in self._lanes:
                lane.slot.policy = policy

    def add(self, lane: Lane) -> None:
        """Give results to this one too; after `close` it is closed at once."""
        with self._lock:
            lane.slot.policy = self._policy or lane.slot.policy
            self._lanes += (lane,)
            if self._closed:
                lane.slot.close()

    def remove(self, lane: Lane) -> None:
        """Give it no more results; those that wait in it are still written."""
        with self._lock:
            self._lanes = tuple(each for each in self._lanes if each is not lane)
            lane.slot.close()

    def close(self) -> None:
        """No more results."""
        with self._lock:
            self._closed = True
            for lane in self._lanes:
                lane.slot.close()


class SinkLosses:
    """Counts the results that a sink could not take or deliver, and says so now and then."""

    def __init__(self, metrics: Metrics, clock: Clock, name: str) -> None:
        self._metrics, self._clock, self._name = metrics, clock, name
        self._said_at_ns: int | None = None

    def add(self, error: SinkError, count: int = 1) -> None:
        """Count some."""
        self._metrics.sink_drop(self._name, count)
        now_ns = self._clock.now_ns()
        if self._said_at_ns is not None and now_ns - self._said_at_ns < _SAY_EVERY_S * 1e9:
            return
        self._said_at_ns = now_ns
        lost = self._metrics.sink_dropped[self._name]
        log.error("%s The run goes on; results lost here so far: %d.", error, lost)
