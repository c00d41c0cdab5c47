"""The application: the table of routes behind the guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from edgesam_rt.server.guard import RATE, Guard
from edgesam_rt.server.openapi import describe
from edgesam_rt.server.operation import JSON, Handler, Operation
from edgesam_rt.server.problems import Problem
from edgesam_rt.server.rate import Rate
from edgesam_rt.server.routes import operations
from edgesam_rt.server.site import Site

DESCRIPTION = "/api/v1/openapi.json"


class Endpoint:
    """One path: a handler for each method."""

    def __init__(self, site: Site, handlers: Mapping[str, Handler]) -> None:
        self._site, self._handlers = site, handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in self._handlers:
            allowed = ", ".join(sorted(self._handlers))
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED, f"this path takes {allowed}.", {"Allow": allowed}
            )
        response = await self._handlers[method](self._site, Request(scope, receive))
        await response(scope, receive, send)


def make_app(
    site: Site,
    pages: Sequence[BaseRoute] = (),
    public: frozenset[str] = frozenset(),
    *,
    rate: Rate = RATE,
) -> Guard:
    """Return what answers for a run.

    Args:
        site: what the handlers know.
        pages: more routes, for people.
        public: their paths that need no token.
        rate: of every client.
    """
    table = operations()
    document = msgspec.json.encode(describe(table, site.build["version"]))

    async def description(_site: Site, _request: Request) -> Response:
        return Response(document, media_type=JSON)

    handlers = _by_path(table)
    handlers[DESCRIPTION] = {"GET": description}
    routes = [Route(path, Endpoint(site, methods)) for path, methods in handlers.items()]
    router = Router([*routes, *pages], redirect_slashes=False, default=_nothing_here)
    free = frozenset(each.path for each in table if each.is_public)
    return Guard(router, site.access, free | public, site.refused, rate)


def _by_path(table: Sequence[Operation]) -> dict[str, dict[str, Handler]]:
    made: dict[str, dict[str, Handler]] = {}
    for each in table:
        made.setdefault(each.path, {})[each.method] = each.handler
    return made


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here. {DESCRIPTION} has what there is.")
