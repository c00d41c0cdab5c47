"""The hub for coroutines: wait for the next result without holding a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgesam_rt.records import Result
from edgesam_rt.service.hub import Hub


class Feed:
    """Lets any number of coroutines wait for results; costs nothing while none does."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Follower]:
        """Follow the results from now on."""
        follower = Follower(self._hub, asyncio.get_running_loop())
        stop = self._hub.listen(follower.tell)
        try:
            yield follower
        finally:
            stop()


class Follower:
    """One coroutine's view of the results; those that come while it is busy are skipped."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub, self._loop = hub, loop
        self._came = asyncio.Event()

    def tell(self) -> None:
        """A result came; from the thread that makes them."""
        if not self._came.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._came.set)

    async def newer(self, frame_id: int | None, timeout_s: float) -> Result | None:
        """Wait for a result of a later frame; None if there was none in time."""
        until = self._loop.time() + timeout_s
        while True:
            self._came.clear()
            newest = self._hub.newest()
            if newest is not None and (frame_id is None or newest.frame.frame_id > frame_id):
                return newest
            try:
                await asyncio.wait_for(self._came.wait(), until - self._loop.time())
            except asyncio.TimeoutError:
                return None
