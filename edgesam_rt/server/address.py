"""Where the server listens: an address and a port, and whether others can reach it."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from edgesam_rt.errors import ConfigError

_FORM = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[^\[\]:]+)):(?P<port>\d{1,5})", re.ASCII)
BACKLOG = 128  # connections that the kernel holds until they are accepted


@dataclass(frozen=True)
class Address:
    """An address and a port; port 0 takes a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        """As it stands in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read "127.0.0.1:8080", "[::1]:8080" or "localhost:8080".

    Raises:
        ConfigError: it is something else.
    """
    found = _FORM.fullmatch(text)
    host = (found["v6"] or found["v4"]) if found else ""
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        found = None
    if found is None or int(found["port"]) > 65535:
        raise ConfigError(
            f"http: expected ADDRESS:PORT, for example 127.0.0.1:8080 (this machine alone) or "
            f"0.0.0.0:8080 (everybody, with a token); got {text!r}."
        )
    return Address(host, int(found["port"]))


def listen(address: Address) -> socket.socket:
    """Take the address; nothing is accepted yet.

    Raises:
        ConfigError: it is taken, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address.host, address.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"http: cannot listen at {address}: {error.strerror}. Choose another address or port."
        ) from error
    opened.setblocking(False)
    return opened
