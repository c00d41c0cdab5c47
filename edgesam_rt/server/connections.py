"""Connections that cannot be held for ever, and of which there are never too many.

uvicorn has a limit for what a connection may do between requests, and none for how long a request
may take to arrive or an answer to be read. Here every phase has one, and where there are too many
connections the one that has kept us waiting longest gives way.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgesam_rt.clock import CLOCK

MOST = 64
ACCEPTED_PER_S = 100  # more wait in the kernel
LOOK_EVERY_S = 0.5
FREE_READS = 8  # of a request; then it is read from four times a second, however it dribbles in
READ_EVERY_S = 0.25
PHASES_S = {"head": 5.0, "body": 10.0, "answer unread": 10.0}  # "head": idle ones too
log = logging.getLogger(__name__)


class GuardedProtocol(H11Protocol):
    """One connection; knows what it is waited for, and since when."""

    _phase: tuple[str, object] = ("", None)  # what is waited for, and of which request
    since_ns = 0
    _reads = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.look()

    def data_received(self, data: bytes) -> None:
        """Take what came; whatever that does to the parser ends this connection alone."""
        before = self.cycle
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - junk finds the strangest ways
            log.debug("http: connection dropped: %r", error)
            self.abort()
        self._reads = self._reads + 1 if self.cycle is before else 0
        if self._reads > FREE_READS and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_later(READ_EVERY_S, self._read_on)

    def _read_on(self) -> None:
        """Read again, unless whoever answers has enough to read."""
        if self.cycle is None or len(self.cycle.body) <= HIGH_WATER_LIMIT:
            self.flow.resume_reading()

    def look(self) -> None:
        """Note the time if it is waited for something else than at the last look."""
        kind, cycle = self._waits_for(), self.cycle
        if kind != self._phase[0] or cycle is not self._phase[1]:
            self._phase, self.since_ns = (kind, cycle), CLOCK.now_ns()

    @property
    def is_waited_for(self) -> bool:
        """Whether the client is to do something: send a request, its body, read an answer."""
        return self._waits_for() in PHASES_S

    @property
    def is_overdue(self) -> bool:
        """Whether that takes too long; `look` comes first."""
        limit_s = PHASES_S.get(self._phase[0])
        return limit_s is not None and CLOCK.now_ns() - self.since_ns > limit_s * 1e9

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()

    def _waits_for(self) -> str:
        cycle: Any = self.cycle
        if self.flow is not None and self.flow.write_paused:
            return "answer unread"
        if cycle is None or cycle.response_complete:
            return "head"
        return "body" if cycle.more_body else "us"


def make_room(connections: set[Any]) -> bool:
    """End the connection that has kept us waiting longest if there are too many; whether it helped.

    Those whose request is being answered stay.
    """
    if len(connections) < MOST:
        return True
    for each in connections:
        each.look()
    waited_for = [each for each in connections if each.is_waited_for]
    if not waited_for:
        return False
    longest = min(waited_for, key=lambda each: each.since_ns)
    connections.discard(longest)
    longest.abort()
    return True


async def end_overdue(connections: set[Any]) -> None:
    """End connections that take too long, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for each in list(connections):
            each.look()
            if each.is_overdue:
                each.abort()


async def accept(listening: socket.socket, make: Any, connections: set[Any]) -> None:
    """Accept connections, for ever, at a bounded rate."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as error:  # out of descriptors, or the client has gone already
            log.debug("http: nothing accepted: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        if make_room(connections):
            await loop.connect_accepted_socket(make, connection)
        else:
            connection.close()
        await asyncio.sleep(1 / ACCEPTED_PER_S)
