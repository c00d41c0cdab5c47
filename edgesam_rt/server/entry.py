"""From a configuration's words to a server that answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from edgesam_rt.errors import ConfigError
from edgesam_rt.server.access import Access, check_form
from edgesam_rt.server.address import Address, listen, parse_address
from edgesam_rt.server.app import make_app
from edgesam_rt.server.guard import RATE
from edgesam_rt.server.live import PUBLIC, pages
from edgesam_rt.server.rate import Rate
from edgesam_rt.server.site import Site
from edgesam_rt.server.thread import ServingThread
from edgesam_rt.service.running import Running


@dataclass(frozen=True)
class Entry:
    """Where a server listens, and to whom."""

    address: Address
    access: Access


def make_entry(text: str, token: str | None) -> Entry:
    """Check an address and a token; opens nothing.

    Args:
        text: "127.0.0.1:8080".
        token: as its file has it, or None.

    Raises:
        ConfigError: one is not right, or others could reach the address without a token.
    """
    address = parse_address(text)
    if token is None and not address.is_loopback:
        raise ConfigError(
            f"http: {address} can be reached from other machines, so it needs a token: "
            "name its file by http_token_file, or use 127.0.0.1."
        )
    return Entry(address, Access(None if token is None else check_form(token, "http_token_file")))


@contextmanager
def open_server(
    entry: Entry, running: Running[Any], build: Mapping[str, str], *, rate: Rate = RATE
) -> Iterator[Address]:
    """Serve a run; yields the address, with the port that was taken.

    Args:
        entry: where, and to whom.
        running: what is served.
        build: version, bundle, backend and board.
        rate: of every client.

    Raises:
        ConfigError: the address cannot be had.
    """
    listening = listen(entry.address)
    host, port = listening.getsockname()[:2]
    site = Site(running.pipeline, running.hub, running.control, entry.access, build)
    app = make_app(site, pages(site), PUBLIC, rate=rate)
    with closing(site), ServingThread(app, listening):
        yield Address(host, port)
