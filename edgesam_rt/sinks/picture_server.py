"""Pictures by HTTP for a handful of browsers, without a web framework.

Each client has a thread, which sends the newest picture there is when the one before has gone out:
a slow client misses pictures, and nobody else does.
"""

from __future__ import annotations

import logging
import re
import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks.live_picture import LivePicture, Picture

STREAM, SNAPSHOT = "/", "/snapshot.jpg"
_REQUEST = re.compile(rb"GET (/[!-~]{0,200}) HTTP/1\.[01]\r?\n")
_REQUEST_BYTES = 8192
_REQUEST_S = 5.0  # from the connection to the end of the request
_SEND_S = 10.0  # a client that takes no more for so long is let go
_LOOK_S = 1.0  # how often a waiting client is looked at
_SEND_BUFFER = 128 << 10  # bytes: what lies there when the client falls behind is old
_SPARE = 8  # connections beyond the clients that may be busy with their request
_BOUNDARY = "edgesam"
_HEAD = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
log = logging.getLogger(__name__)


class PictureServer:
    """Serves the newest picture: `/` a stream, `/snapshot.jpg` one.

    Args:
        who: the sink's name, for messages.
        address: host and port to listen at.
        picture: what to show.
        clients: how many may look at once; more are told to come back (503).
        fps: pictures per second and client, at most; None for all.

    Raises:
        ConfigError: there is no such host here.
        SinkError: the port is taken, or may not be opened.
    """

    def __init__(
        self,
        who: str,
        address: tuple[str, int],
        picture: LivePicture,
        *,
        clients: int,
        fps: float | None,
    ) -> None:
        self._server = _listen(who, address)
        self._server.picture, self._server.gap_s = picture, 1 / fps if fps else 0.0
        self._server.seats = threading.BoundedSemaphore(clients)
        self._server.doors = threading.BoundedSemaphore(clients + _SPARE)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=who, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more; the clients' threads end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    picture: LivePicture
    gap_s: float
    seats: threading.BoundedSemaphore
    doors: threading.BoundedSemaphore

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, if there is room."""
        if not self.doors.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self.doors.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.doors.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or sent junk, is no event."""
        log.debug("%s: client let go", client_address, exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Client(socketserver.BaseRequestHandler):
    """One connection, one answer."""

    request: socket.socket
    server: _Server

    def handle(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        path = read_path(self.request)
        self.request.settimeout(_SEND_S)
        if path == STREAM:
            self._seated(self._stream)
        elif path == SNAPSHOT:
            self._seated(self._snapshot)
        else:
            self._say("404 Not Found" if path else "400 Bad Request")

    def _seated(self, serve: Any) -> None:
        if not self.server.seats.acquire(blocking=False):
            self._say("503 Service Unavailable")
            return
        try:
            serve()
        finally:
            self.server.seats.release()

    def _say(self, status: str) -> None:
        body = f"{status}\n"
        self._head(status, f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n")
        self.request.sendall(body.encode())

    def _head(self, status: str, more: str) -> None:
        self.request.sendall(f"HTTP/1.1 {status}\r\n{_HEAD}{more}\r\n".encode())

    def _snapshot(self) -> None:
        picture = self.server.picture.newer_than(0, _REQUEST_S)
        if picture is None:
            self._say("503 Service Unavailable")
            return
        length = f"Content-Length: {len(picture.jpeg)}\r\n"
        self._head("200 OK", f"Content-Type: image/jpeg\r\n{length}")
        self.request.sendall(picture.jpeg)

    def _stream(self) -> None:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        self._head("200 OK", f"Content-Type: {kind}\r\n")
        self.request.sendall(f"--{_BOUNDARY}\r\n".encode())
        for picture in self._pictures():
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            end = f"\r\n--{_BOUNDARY}\r\n"  # at once, or browsers show each picture one late
            self.request.sendall(head.encode() + picture.jpeg + end.encode())

    def _pictures(self) -> Iterator[Picture]:
        """The newest picture, again and again, until the client leaves or the server closes."""
        number = 0
        while self.server.socket.fileno() >= 0 and not _has_left(self.request):
            picture = self.server.picture.newer_than(number, _LOOK_S)
            if picture is not None:
                number = picture.number
                began = time.monotonic()
                yield picture
                time.sleep(max(0.0, self.server.gap_s - (time.monotonic() - began)))


def read_path(line: socket.socket) -> str:
    """Return the path that a client asks for, "" if that is no request; takes 5 s at most."""
    deadline, data = time.monotonic() + _REQUEST_S, b""
    while b"\r\n\r\n" not in data and b"\n\n" not in data:
        line.settimeout(max(0.01, deadline - time.monotonic()))
        part = line.recv(1024)
        data += part
        if not part or len(data) > _REQUEST_BYTES or time.monotonic() > deadline:
            return ""
    found = _REQUEST.match(data)
    return found[1].decode("ascii").partition("?")[0] if found else ""


def _has_left(line: socket.socket) -> bool:
    """Whether a client has hung up; never waits."""
    look = select.poll()
    look.register(line, select.POLLIN)
    return bool(look.poll(0)) and line.recv(1, socket.MSG_PEEK) == b""


def _listen(who: str, address: tuple[str, int]) -> _Server:
    kind = _Server6 if ":" in address[0] else _Server
    try:
        return kind(address, _Client)
    except socket.gaierror as error:
        raise ConfigError(
            f"{who}: {address[0]!r} is no address of this machine: {error.strerror}. "
            "Use 127.0.0.1, or 0.0.0.0 for every network."
        ) from error
    except OSError as error:
        raise SinkError(
            f"{who}: cannot listen at {address[0]} port {address[1]}: {error.strerror}. "
            "Name another port, or end what listens there."
        ) from error
