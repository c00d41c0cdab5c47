"""The live page: its files, and the feed of pictures and results that it shows.

The feed is that of docs/outputs.md: a line of JSON, the result with its masks, then as many bytes
as it says, a JPEG without masks. The page draws them: docs/decisions/0019-outputs.md says why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from edgesam_rt.records import Result
from edgesam_rt.server.problems import Problem
from edgesam_rt.server.renders import Kept
from edgesam_rt.server.site import Site
from edgesam_rt.sinks.feed_message import Message, message_of
from edgesam_rt.sinks.files import encode_picture

_SCRIPTS = ("api", "charts", "colours", "feed", "input", "main", "masks", "objects", "view")
# The page's files, by the path they are asked for with; nothing else of the folder can be had.
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    **{f"/page/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in _SCRIPTS},
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page/style.css": ("style.css", "text/css; charset=utf-8"),
}
PUBLIC = frozenset(PAGE)  # there is nothing of the run in them; the page asks for the token
FEED = "/live"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MOST = 8  # pages that look at once; each has its own copy of every picture on its way
_IDLE_S = 1.0  # without a result a line is sent that says so
_GAP_S = 0.03  # between two messages to a page, at least
_LONGEST_SIDE = 1280  # px of the pictures sent
_QUALITY = 80
_NOTHING = Message(b'"idle":true}\n')


def pages(site: Site) -> list[BaseRoute]:
    """Return the routes of the page and its feed; `PUBLIC` of them need no token."""
    folder = files("edgesam_rt.server") / "page"
    routes: list[BaseRoute] = []
    for path, (name, media) in PAGE.items():
        routes.append(Route(path, partial(_file, (folder / name).read_bytes(), media)))
    return [*routes, Route(FEED, LiveFeed(site))]


async def _file(data: bytes, media: str, request: Request) -> Response:
    headers = {"Content-Type": media, "Content-Security-Policy": _POLICY}
    return Response(data, headers=headers)


class LiveFeed:
    """Sends every client the newest result as fast as it takes them; the slow ones miss some."""

    def __init__(self, site: Site) -> None:
        self._site, self._kept, self._count = site, Kept(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, for as long as the client listens."""
        with self._seat():
            head = [(b"content-type", b"application/octet-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            gone = asyncio.create_task(_until_gone(receive))
            try:
                await self._send_all(send, gone)
            finally:
                gone.cancel()

    @contextmanager
    def _seat(self) -> Iterator[None]:
        if self._count >= _MOST:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{_MOST} pages look on already.")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    async def _send_all(self, send: Send, gone: asyncio.Task[None]) -> None:
        frame_id: int | None = None
        async with self._site.feed.open() as follower:
            while not gone.done():
                newest = await follower.newer(frame_id, _IDLE_S)
                body = _NOTHING.to_bytes(0)
                if newest is not None:
                    frame_id = newest.frame.frame_id
                    body = await self._site.rendering.run(partial(self._message, newest))
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await asyncio.sleep(_GAP_S)

    def _message(self, result: Result) -> bytes:
        """A result and its picture; made once for all who look."""
        key = result.frame.frame_id
        return self._kept.get("live", key, lambda: _encode(result))


def _encode(result: Result) -> bytes:
    return replace(message_of(result, "rle"), payload=jpeg_of(result)).to_bytes(lost=0)


def jpeg_of(result: Result) -> bytes:
    """The picture without masks, made smaller if it is very large."""
    import cv2

    pixels = result.frame.pixels
    h, w = pixels.shape[:2]
    if max(h, w) > _LONGEST_SIDE:
        scale = _LONGEST_SIDE / max(h, w)
        size_wh = max(1, round(w * scale)), max(1, round(h * scale))
        pixels = cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return encode_picture(pixels, ".jpg", quality=_QUALITY)


async def _until_gone(receive: Receive) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
