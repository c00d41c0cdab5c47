"""A socket that stands where systemd's would: what was sent to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


class Listening:
    """A real datagram socket under a path or an abstract name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def heard(self, timeout_s: float = 0.0) -> list[dict[str, str]]:
        """The datagrams that wait, oldest first; waits for a first one."""
        found: list[dict[str, str]] = []
        self._socket.settimeout(timeout_s)
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except (BlockingIOError, TimeoutError):
                return found
            found.append(dict(part.split("=", 1) for part in text.split("\n")))
            self._socket.settimeout(0.0)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listening(address: str) -> Iterator[Listening]:
    """Listen at an address."""
    opened = Listening(address)
    try:
        yield opened
    finally:
        opened.close()
