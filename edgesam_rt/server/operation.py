"""What one thing that can be asked is; `routes.py` has the table of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edgesam_rt.server.bodies import Param
from edgesam_rt.server.site import Site

JSON, JPEG, TEXT = "application/json", "image/jpeg", "text/plain"
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
