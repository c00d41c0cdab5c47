"""Answers to requests: read what is asked, let the run do it, say what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edgesam_rt.errors import NoFrame
from edgesam_rt.records import Result
from edgesam_rt.server import exposition, health, objects, schemas
from edgesam_rt.server.access import COOKIE
from edgesam_rt.server.bodies import Param, read_body, read_query
from edgesam_rt.server.health import SinkWatch
from edgesam_rt.server.operation import JPEG, JSON
from edgesam_rt.server.problems import Problem
from edgesam_rt.server.site import Site
from edgesam_rt.server.status import status as made_status

STATUS_EVERY_S, METRICS_EVERY_S = 0.25, 0.5  # made anew at most so often, whoever asks
WEEK_S = 7 * 24 * 3600
MASKS = Param("masks", ("rle", "boxes", "none"), "rle: masks too; boxes: none; none: no objects.")
OVERLAY = Param("overlay", ("1", "0"), "1: masks are drawn on the picture; 0: the picture alone.")


def reply(answer: msgspec.Struct, code: int = 200) -> Response:
    """An answer as JSON."""
    return Response(msgspec.json.encode(answer), code, media_type=JSON)


async def result(site: Site, request: Request) -> Response:
    """The newest result."""
    masks: Any = read_query(request, (MASKS,))["masks"]
    newest = _newest(site)
    row = await site.rendering.run(lambda: site.renders.json(newest, masks))
    return Response(row, media_type=JSON)


async def snapshot(site: Site, request: Request) -> Response:
    """The newest picture."""
    with_overlay = read_query(request, (OVERLAY,))["overlay"] == "1"
    newest = _newest(site)
    frame_id, jpeg = await site.rendering.run(
        lambda: site.renders.jpeg(newest, with_overlay=with_overlay)
    )
    return Response(jpeg, media_type=JPEG, headers={"X-Frame-Id": str(frame_id)})


async def status(site: Site, request: Request) -> Response:
    """How the run goes."""
    read_query(request, ())

    def make() -> bytes:
        return msgspec.json.encode(made_status(site))

    text = await site.rendering.run(lambda: site.renders.lately("status", STATUS_EVERY_S, make))
    return Response(text, media_type=JSON)


async def list_objects(site: Site, request: Request) -> Response:
    """All objects that are asked for."""
    read_query(request, ())
    return reply(await site.rendering.run(lambda: objects.list_objects(site)))


async def get_object(site: Site, request: Request) -> Response:
    """One object."""
    read_query(request, ())
    text = request.path_params["id"]
    return reply(await site.rendering.run(lambda: objects.get_object(site, text)))


async def add_object(site: Site, request: Request) -> Response:
    """Ask for one more object."""
    read_query(request, ())
    asked = await read_body(request, schemas.ObjectRequest)
    made = await site.changing.run(lambda: objects.add_object(site, asked))
    answer = reply(made, HTTPStatus.CREATED)
    answer.headers["Location"] = f"/api/v1/objects/{made.id}"
    return answer


async def change_object(site: Site, request: Request) -> Response:
    """Ask something else about an object."""
    read_query(request, ())
    text = request.path_params["id"]
    asked = await read_body(request, schemas.ObjectRequest)
    return reply(await site.changing.run(lambda: objects.change_object(site, text, asked)))


async def remove_object(site: Site, request: Request) -> Response:
    """Ask for an object no longer."""
    read_query(request, ())
    text = request.path_params["id"]
    await site.changing.run(lambda: objects.remove_object(site, text))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def get_mode(site: Site, request: Request) -> Response:
    """The present mode."""
    read_query(request, ())
    return reply(objects.get_mode(site))


async def set_mode(site: Site, request: Request) -> Response:
    """Change the mode."""
    read_query(request, ())
    asked = await read_body(request, schemas.ModeRequest)
    return reply(await site.changing.run(lambda: objects.set_mode(site, asked)))


async def get_session(site: Site, request: Request) -> Response:
    """Whether a token is needed."""
    read_query(request, ())
    return reply(schemas.SessionAnswer(site.access.token is not None))


async def open_session(site: Site, request: Request) -> Response:
    """Take the token, give a cookie."""
    read_query(request, ())
    asked = await read_body(request, schemas.SessionRequest)
    if site.access.token is not None and not site.access.is_token(asked.token):
        raise Problem(HTTPStatus.UNAUTHORIZED, "this is not the token.")
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    answer.set_cookie(COOKIE, site.access.session, max_age=WEEK_S, httponly=True, samesite="strict")
    return answer


def _newest(site: Site) -> Result:
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
