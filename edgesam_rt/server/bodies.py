"""Read what a request carries, strictly: what is not described is refused, and said."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import Request

from edgesam_rt.server.problems import Fault, Problem

MOST_BYTES = 64 * 1024
T = TypeVar("T")
_EXPECTED = re.compile(r"(?P<expected>.+?)(?:, got (?P<got>.+?))?(?: - at `(?P<at>[^`]+)`)?", re.S)


@dataclass(frozen=True)
class Param:
    """A query parameter with a few known values; the first is the default."""

    name: str
    values: tuple[str, ...]
    about: str


async def read_body(request: Request, kind: type[T]) -> T:
    """Read a JSON body.

    Raises:
        Problem: 413 it is too large, 415 it is no JSON by its type, 400 it is no JSON, 422 it is
            not of this kind; the field is named.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {media or 'missing'}; expected application/json.",
        )
    try:
        return msgspec.json.decode(await _bytes_of(request), type=kind)
    except msgspec.ValidationError as error:
        raise _not_as_described(str(error), kind) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}.") from None


def read_query(request: Request, params: Sequence[Param]) -> Mapping[str, str]:
    """Read the query; what is left out gets its default.

    Raises:
        Problem: 422 an unknown parameter or value, or one twice.
    """
    known = {param.name: param for param in params}
    values = {param.name: param.values[0] for param in params}
    given = request.query_params.multi_items()
    for name, value in given:
        if name not in known:
            raise _wrong(name, f"one of: {', '.join(known) or 'none'}", "an unknown parameter")
        if value not in known[name].values:
            raise _wrong(name, f"one of: {', '.join(known[name].values)}", repr(value[:40]))
        if sum(name == other for other, _ in given) > 1:
            raise _wrong(name, "once", "several times")
        values[name] = value
    return values


async def _bytes_of(request: Request) -> bytes:
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said[:12]) > MOST_BYTES:
        raise _too_large()
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {MOST_BYTES} bytes.",
        {"Connection": "close"},
    )


def _not_as_described(message: str, kind: type[object]) -> Problem:
    """Field, expected and got of what msgspec says."""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    at = (re.search(r" - at `\$\.?([^`]*)`", message) or [None, ""])[1] or "body"
    if unknown is not None:
        known = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else ()
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return _wrong(unknown[1][:40], f"one of: {', '.join(known)}{hint}", "an unknown key")
    found = _EXPECTED.fullmatch(message)
    expected = (found["expected"] if found else message).replace("`", "")
    got = (found["got"] if found else None) or "something else"
    return _wrong(at, expected.removeprefix("Expected "), got.replace("`", "")[:80])


def _wrong(field: str, expected: str, got: str) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{field}: expected {expected}; got {got}.",
        faults=(Fault(field, expected, got),),
    )
