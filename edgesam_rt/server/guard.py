"""What every request passes first, and every answer last."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgesam_rt.clock import CLOCK
from edgesam_rt.server.access import Access
from edgesam_rt.server.problems import Problem, problem_of
from edgesam_rt.server.rate import Buckets, Rate

RATE = Rate(per_s=50, burst=100)
WRITE_COST = 5  # a change, or anything with a body, counts for so many requests
PENALTY_S = 1.0  # who asks too often, or shows a wrong token, waits so long for the answer
SAY_EVERY_S = 60.0
HEAD_BYTES = 16 * 1024  # of all headers
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
NOT_LET_IN = (401, 403, 421, 429, 431)
BUG = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of ours; the log has more.")
log = logging.getLogger(__name__)


class Guard:
    """Rate, origin, token; headers that keep browsers careful; no trace of our own faults.

    Args:
        app: what answers.
        access: the rules.
        public: paths that need no token.
        refused: counts what is not let in, by status.
        rate: of every client.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        public: frozenset[str],
        refused: Counter[int],
        rate: Rate = RATE,
    ) -> None:
        self._app, self._access, self._public = app, access, public
        self._rate, self._buckets = rate, Buckets(rate)
        self._refused = refused
        self._said_at_ns: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # there are no web sockets and no lifespan here
            return
        started = False

        async def careful(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            problem = self._refusal(scope)
            if problem is not None:
                raise problem
            await self._app(scope, receive, careful)
        except ClientDisconnect:
            return
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                self._tell_of_bug(scope)
            if started:
                raise
            await self._let_wait(problem)
            await (problem or BUG).response()(scope, receive, careful)

    async def _let_wait(self, problem: Problem | None) -> None:
        """Slow down who asks too often, and who guesses at tokens."""
        if problem is not None and problem.status in NOT_LET_IN:
            self._refused[problem.status] += 1
        if problem is not None and problem.status in (401, 429):
            await asyncio.sleep(PENALTY_S)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why a request is not answered, or None."""
        client = scope.get("client") or ("", 0)
        if not self._buckets.take(client[0], 1 if scope["method"] == "GET" else WRITE_COST):
            return Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._rate.per_s:g} requests per second.",
                {"Retry-After": "1", "Connection": "close"},
            )
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES:
            return Problem(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers are larger than {HEAD_BYTES} bytes.",
                {"Connection": "close"},
            )
        headers = Headers(scope=scope)
        problem = self._access.check_origin(scope["method"], headers)
        if problem is None and scope["path"] not in self._public:
            problem = self._access.check_token(headers)
        return problem

    def _tell_of_bug(self, scope: Scope) -> None:
        now_ns = CLOCK.now_ns()
        if self._said_at_ns is None or now_ns - self._said_at_ns > SAY_EVERY_S * 1e9:
            self._said_at_ns = now_ns
            log.exception("http: %s %s failed", scope["method"], scope["path"][:80])
