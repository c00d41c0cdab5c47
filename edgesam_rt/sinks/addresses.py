"""Targets of sinks that are no files: brokers, ports, sockets. What is wrong with one is said."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgesam_rt.paths import user_path

_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_DEFAULT_PREFIX = "edgesam"
_LONGEST_PREFIX = 200
_LONGEST_SOCKET = 107  # bytes: `sun_path` of Linux, less its end (unix(7))
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]*):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Broker:
    """Where an MQTT broker is.

    Attributes:
        host, port: its address.
        has_tls: whether the connection is encrypted.
        prefix: topics begin with it.
        login: `user:password`, or a user alone; None without.
    """

    host: str
    port: int
    has_tls: bool
    prefix: str
    login: tuple[str, str | None] | None = field(default=None, repr=False)


def broker_of(target: str) -> Broker:
    """Read `mqtt://USER:PASSWORD@HOST:PORT/PREFIX` or `mqtts://…`.

    Raises:
        ValueError: it is no such address; the text says why.
    """
    parts = urlsplit(target)
    if parts.scheme not in _MQTT_PORTS:
        raise ValueError("an address begins with mqtt:// or mqtts://")
    if not parts.hostname or re.search(r"\s", parts.netloc) or parts.fragment:
        raise ValueError("there is no host in it; percent-encode what is special in a login")
    port = parts.port if parts.port is not None else _MQTT_PORTS[parts.scheme]
    if not port:
        raise ValueError("a port is a number from 1 to 65535")
    prefix = unquote(parts.path).strip("/") or _DEFAULT_PREFIX
    if re.search(r"[+#\0]", prefix) or prefix[0] == "$" or len(prefix) > _LONGEST_PREFIX:
        raise ValueError("a topic prefix has no + or #, no $ in front, and is not longer than 200")
    password = None if parts.password is None else unquote(parts.password)
    login = None if not parts.username else (unquote(parts.username), password)
    return Broker(parts.hostname, port, parts.scheme == "mqtts", prefix, login)


def host_port_of(target: str) -> tuple[str, int]:
    """Read `HOST:PORT`, `[IPv6]:PORT` or `:PORT`, which is this machine alone.

    Raises:
        ValueError: it is no such address; the text says why.
    """
    found = _HOST_PORT.fullmatch(target)
    if found is None or int(found["port"]) > 65535:
        raise ValueError("expected HOST:PORT, as 127.0.0.1:8090; a port is at most 65535")
    return found["host"].strip("[]") or "127.0.0.1", int(found["port"])


def socket_path_of(target: str) -> Path:
    """Read the path of a Unix socket.

    Raises:
        ValueError: it is too long for one.
    """
    path = user_path(target)
    if len(str(path).encode()) > _LONGEST_SOCKET:
        raise ValueError(f"a socket's path has at most {_LONGEST_SOCKET} bytes")
    return path
