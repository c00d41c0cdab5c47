"""What can be asked: one table, from which the application and its description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edgesam_rt.errors import NoFrame
from edgesam_rt.server import exposition, health, objects, schemas
from edgesam_rt.server.access import COOKIE
from edgesam_rt.server.bodies import Param, read_body, read_query
from edgesam_rt.server.health import SinkWatch
from edgesam_rt.server.problems import Problem
from edgesam_rt.server.site import Site
from edgesam_rt.server.status import status

JSON, JPEG = "application/json", "image/jpeg"
STATUS_EVERY_S, METRICS_EVERY_S = 0.25, 0.5  # made anew at most so often, whoever asks
WEEK_S = 7 * 24 * 3600

Handler = Callable[[Site, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Answer:
    """One way to answer: what it means, its media type, and its schema where it is JSON."""

    about: str
    kind: type[msgspec.Struct] | None = None
    media: str | None = JSON


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked.

    Attributes:
        method, path: of HTTP; `{id}` stands for an object's id.
        name: for those who make programs of the description.
        about: one sentence.
        handler: answers.
        answers: by status, those of `COMMON` left out.
        problems: statuses of problems beside those that all have.
        body: what the request carries.
        query: its parameters.
        is_public: whether it needs no token.
    """

    method: str
    path: str
    name: str
    about: str
    handler: Handler
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    body: type[msgspec.Struct] | None = None
    query: tuple[Param, ...] = ()
    is_public: bool = False


MASKS = Param("masks", ("rle", "boxes", "none"), "rle: masks too; boxes: none; none: no objects.")
OVERLAY = Param("overlay", ("1", "0"), "1: masks are drawn on the picture; 0: the picture alone.")


def reply(answer: msgspec.Struct, code: int = 200) -> Response:
    """An answer as JSON."""
    return Response(msgspec.json.encode(answer), code, media_type=JSON)


async def _result(site: Site, request: Request) -> Response:
    masks: Any = read_query(request, (MASKS,))["masks"]
    newest = _newest(site)
    row = await site.rendering.run(lambda: site.renders.json(newest, masks))
    return Response(row, media_type=JSON)


async def _snapshot(site: Site, request: Request) -> Response:
    with_overlay = read_query(request, (OVERLAY,))["overlay"] == "1"
    newest = _newest(site)
    jpeg = await site.rendering.run(lambda: site.renders.jpeg(newest, with_overlay=with_overlay))
    return Response(jpeg, media_type=JPEG, headers={"X-Frame-Id": str(newest.frame.frame_id)})


async def _status(site: Site, request: Request) -> Response:
    read_query(request, ())

    def make() -> bytes:
        return msgspec.json.encode(status(site))

    text = await site.rendering.run(lambda: site.renders.lately("status", STATUS_EVERY_S, make))
    return Response(text, media_type=JSON)


async def _list_objects(site: Site, request: Request) -> Response:
    read_query(request, ())
    return reply(await site.rendering.run(lambda: objects.list_objects(site)))


async def _get_object(site: Site, request: Request) -> Response:
    read_query(request, ())
    text = request.path_params["id"]
    return reply(await site.rendering.run(lambda: objects.get_object(site, text)))


async def _add_object(site: Site, request: Request) -> Response:
    read_query(request, ())
    asked = await read_body(request, schemas.ObjectRequest)
    made = await site.changing.run(lambda: objects.add_object(site, asked))
    answer = reply(made, HTTPStatus.CREATED)
    answer.headers["Location"] = f"/api/v1/objects/{made.id}"
    return answer


async def _remove_object(site: Site, request: Request) -> Response:
    read_query(request, ())
    text = request.path_params["id"]
    await site.changing.run(lambda: objects.remove_object(site, text))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _get_mode(site: Site, request: Request) -> Response:
    read_query(request, ())
    return reply(objects.get_mode(site))


async def _set_mode(site: Site, request: Request) -> Response:
    read_query(request, ())
    asked = await read_body(request, schemas.ModeRequest)
    return reply(await site.changing.run(lambda: objects.set_mode(site, asked)))


async def _get_session(site: Site, request: Request) -> Response:
    read_query(request, ())
    return reply(schemas.SessionAnswer(site.access.token is not None))


async def _open_session(site: Site, request: Request) -> Response:
    read_query(request, ())
    asked = await read_body(request, schemas.SessionRequest)
    if site.access.token is not None and not site.access.is_token(asked.token):
        raise Problem(HTTPStatus.UNAUTHORIZED, "this is not the token.")
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    answer.set_cookie(COOKIE, site.access.session, max_age=WEEK_S, httponly=True, samesite="strict")
    return answer


def _newest(site: Site) -> Any:
    newest = site.hub.newest()
    if newest is None:
        raise NoFrame("there is no result yet.")
    return newest


@dataclass(eq=False)
class Checks:
    """`/healthz`, `/readyz` and `/metrics`, which remember something between two requests."""

    sinks: SinkWatch = field(default_factory=SinkWatch)
    metrics: exposition.Exposition | None = None

    async def alive(self, site: Site, request: Request) -> Response:
        """200 if all is well."""
        read_query(request, ())
        answer = health.health(site, self.sinks)
        return reply(answer, 200 if answer.status == "ok" else 503)

    async def ready(self, site: Site, request: Request) -> Response:
        """200 if results flow."""
        read_query(request, ())
        answer = health.health(site, self.sinks)
        return reply(answer, 200 if health.is_ready(answer) else 503)

    async def scrape(self, site: Site, request: Request) -> Response:
        """The metrics."""
        read_query(request, ())
        self.metrics = self.metrics or exposition.Exposition(site)
        make = self.metrics.text
        text = await site.rendering.run(
            lambda: site.renders.lately("metrics", METRICS_EVERY_S, make)
        )
        return Response(text, headers={"Content-Type": exposition.MEDIA})


def operations() -> tuple[Operation, ...]:
    """The table."""
    checks = Checks()
    well = {
        200: Answer("All is well.", schemas.HealthAnswer),
        503: Answer("It is not; `reasons` say why.", schemas.HealthAnswer),
    }
    ready = {
        200: Answer("Results flow.", schemas.HealthAnswer),
        503: Answer("They do not; `reasons` say why.", schemas.HealthAnswer),
    }
    one = {200: Answer("The object.", schemas.ObjectAnswer)}
    return (
        Operation("GET", "/healthz", "health", "Is all well?", checks.alive, well),
        Operation("GET", "/readyz", "ready", "Do results flow?", checks.ready, ready),
        Operation(
            *("GET", "/metrics", "metrics", "Metrics for Prometheus.", checks.scrape),
            {200: Answer("Text format.", media="text/plain")},
        ),
        Operation(
            *("GET", "/api/v1/result", "getResult", "The newest result.", _result),
            {200: Answer("As docs/results.md has it.", schemas.ResultRow)},
            *((503,), None, (MASKS,)),
        ),
        Operation(
            *("GET", "/api/v1/snapshot", "getSnapshot", "The newest picture.", _snapshot),
            {200: Answer("A JPEG.", media=JPEG)},
            *((503,), None, (OVERLAY,)),
        ),
        Operation(
            *("GET", "/api/v1/status", "getStatus", "How the run goes.", _status),
            {200: Answer("Times, counters, charts.", schemas.StatusAnswer)},
        ),
        Operation(
            *("GET", "/api/v1/objects", "listObjects", "What is asked for.", _list_objects),
            {200: Answer("All objects.", schemas.ObjectsAnswer)},
        ),
        Operation(
            *("POST", "/api/v1/objects", "addObject", "Ask for one more object.", _add_object),
            {201: Answer("It is asked for.", schemas.ObjectAnswer)},
            *((400, 409, 413, 415, 422, 503), schemas.ObjectRequest),
        ),
        Operation(
            *("GET", "/api/v1/objects/{id}", "getObject", "One object.", _get_object, one, (404,)),
        ),
        Operation(
            *("DELETE", "/api/v1/objects/{id}", "removeObject", "Ask for it no longer."),
            *(_remove_object, {204: Answer("It is gone.", media=None)}, (404, 409, 503)),
        ),
        Operation(
            *("GET", "/api/v1/mode", "getMode", "The present mode.", _get_mode),
            {200: Answer("The mode.", schemas.ModeAnswer)},
        ),
        Operation(
            *("PUT", "/api/v1/mode", "setMode", "Change the mode.", _set_mode),
            {200: Answer("The mode is changed.", schemas.ModeAnswer)},
            *((400, 409, 413, 415, 422, 503), schemas.ModeRequest),
        ),
        Operation(
            *("GET", "/api/v1/session", "getSession", "Is a token needed?", _get_session),
            {200: Answer("Whether it is.", schemas.SessionAnswer)},
            is_public=True,
        ),
        Operation(
            *("POST", "/api/v1/session", "openSession", "Show the token once; get a cookie."),
            *(_open_session, {204: Answer("The cookie is set.", media=None)}),
            *((400, 401, 413, 415, 422), schemas.SessionRequest),
            is_public=True,
        ),
    )
