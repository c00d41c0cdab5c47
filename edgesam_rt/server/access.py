"""Who may ask: the Host they name, the page they come from, the token they show.

Host: a page of somebody else's, whose name was made to point here (DNS rebinding), names that name.
Only addresses and this machine's own names are answered.
Origin, Sec-Fetch-Site: what another site's page lets a browser ask is refused.
Token: as `Authorization: Bearer …`, or as the cookie that `POST /api/v1/session` gives for it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from edgesam_rt.errors import ConfigError
from edgesam_rt.server.problems import Problem

COOKIE = "edgesam_session"
SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)  # what a Bearer header can hold: RFC 6750
_SAFE = ("GET", "HEAD", "OPTIONS")
_OWN_SITE = ("same-origin", "none")  # of Sec-Fetch-Site; none: typed, or a bookmark


def own_names() -> frozenset[str]:
    """Names, beside addresses, under which this machine is asked."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", name, f"{name.partition('.')[0]}.local"})


@dataclass(frozen=True)
class Access:
    """The rules of one server.

    Attributes:
        token: what has to be shown, or None where anybody on this machine may ask.
        names: see `own_names`.
    """

    token: str | None = field(default=None, repr=False)
    names: frozenset[str] = field(default_factory=own_names)

    def check_origin(self, method: str, headers: Mapping[str, str]) -> Problem | None:
        """Why a request comes from the wrong place, or None."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host is {host!r}; this server answers to addresses and to its machine's name.",
            )
        site = headers.get("sec-fetch-site", "none")
        is_visit = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in _OWN_SITE and not is_visit:
            return Problem(HTTPStatus.FORBIDDEN, f"asked by a page of another site ({site}).")
        origin = headers.get("origin")
        if origin is not None and method not in _SAFE and origin.partition("://")[2] != host:
            return Problem(HTTPStatus.FORBIDDEN, f"asked by a page of another origin: {origin!r}.")
        return None

    def check_token(self, headers: Mapping[str, str]) -> Problem | None:
        """Why a request shows no right token, or None."""
        if self.token is None:
            return None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(shown):
            return None
        if _same(_cookie(headers.get("cookie", "")), self.session):
            return None
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "a token is needed: Authorization: Bearer TOKEN, or the cookie of /api/v1/session.",
            {"WWW-Authenticate": 'Bearer realm="edgesam"'},
        )

    def is_token(self, shown: str) -> bool:
        """Whether it is the token, compared in constant time."""
        return self.token is not None and _same(shown.strip(), self.token)

    @property
    def session(self) -> str:
        """What the cookie holds: made of the token, and of no use to find it."""
        key = (self.token or "").encode()
        return hmac.new(key, b"edgesam session", hashlib.sha256).hexdigest()

    def _is_own(self, host: str) -> bool:
        name = re.sub(r":\d{1,5}$", "", host.lower(), flags=re.ASCII)
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def check_form(text: str, where: str) -> str:
    """Return a token as a file has it.

    Raises:
        ConfigError: it is too short, or holds what a header cannot.
    """
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{where}: expected one line of {SHORTEST_TOKEN} or more letters, digits and ._~+/=-; "
            "got something else. Make one: openssl rand -hex 24"
        )
    return token


def _same(shown: str, right: str) -> bool:
    return hmac.compare_digest(shown.encode(), right.encode())


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
