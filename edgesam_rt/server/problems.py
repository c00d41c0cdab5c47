"""Errors as the server tells them: problem details, RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from edgesam_rt.errors import (
    EdgeSamError,
    InternalError,
    NoFrame,
    PromptError,
    UnknownObject,
    WrongMode,
)

MEDIA = "application/problem+json"


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one field: where it is, what was expected, what came."""

    field: str
    expected: str
    got: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error: `title` names the status, `detail` says what is wrong here and what to do."""

    title: str
    status: int
    detail: str
    errors: tuple[Fault, ...] = ()


@dataclass(eq=False)
class Problem(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        detail: what, where, and what to do.
        headers: more headers of the answer.
        faults: fields that are wrong.
    """

    status: HTTPStatus
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[Fault] = ()

    def response(self) -> Response:
        """Return the answer."""
        body = ProblemDetails(self.status.phrase, self.status, self.detail, tuple(self.faults))
        return Response(
            msgspec.json.encode(body),
            status_code=self.status,
            headers={**self.headers, "Cache-Control": "no-store"},
            media_type=MEDIA,
        )


# What the run says to a change, in HTTP's words; whatever else it refuses is a conflict.
_STATUS_OF: tuple[tuple[type[EdgeSamError], HTTPStatus], ...] = (
    (PromptError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownObject, HTTPStatus.NOT_FOUND),
    (WrongMode, HTTPStatus.CONFLICT),
    (NoFrame, HTTPStatus.SERVICE_UNAVAILABLE),
    (EdgeSamError, HTTPStatus.CONFLICT),
)


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an error is to a client, or None for a bug of ours."""
    if isinstance(error, Problem):
        return error
    for kind, code in _STATUS_OF:
        if isinstance(error, kind) and not isinstance(error, InternalError):
            return Problem(code, str(error))
    return None
