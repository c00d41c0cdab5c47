"""The thread that serves: an event loop of its own, never one of the pipeline's threads."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from functools import partial
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from edgesam_rt.server.connections import GuardedProtocol, accept, end_overdue
from edgesam_rt.server.guard import HEAD_BYTES
from edgesam_rt.server.workers import step_back

STOP_S = 1  # how long answers may take to be finished at the end
JOIN_S = 10.0
log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn, with our way of accepting."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config)
        self._listening = listening
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        state = self.server_state
        make = partial(GuardedProtocol, config=self.config, server_state=state, app_state={})
        self._tasks = [
            asyncio.create_task(accept(self._listening, make, state.connections)),
            asyncio.create_task(end_overdue(state.connections)),
        ]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more; give answers that are on their way a moment."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listening.close()
        await super().shutdown()


class ServingThread:
    """Serves an application while it is open; a context manager.

    Args:
        app: what answers.
        listening: a socket that listens; closed at the end.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_graceful_shutdown=STOP_S,
        )
        # What clients do wrong is no news, and what we do wrong is told by the guard.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = _Server(config, listening)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def __enter__(self) -> ServingThread:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(JOIN_S)

    def _serve(self) -> None:
        step_back()
        try:
            asyncio.run(self._server.serve(), debug=False)
        except Exception:
            log.exception("http: the server ended; the run goes on without it")
