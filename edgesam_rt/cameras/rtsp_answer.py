"""Asks an RTSP server why it gives no stream: FFmpeg, through OpenCV, only says no."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

from edgesam_rt.secrets import redact

_PORT = 554
_TIMEOUT_S = 2.0
_ANSWERS = {
    401: "the server wants a login, or refuses this one: rtsp://USER:PASSWORD@…, or "
    "#login_file=FILE with one line user:password",
    403: "the server forbids it to this login",
    404: "the server has no such path; the camera's manual names its own",
    454: "the server forgot the session; try again",
    461: "the server does not speak this transport; try the other: #transport=",
    503: "the server is busy; too many viewers?",
}


def why_not(url: str, transport: str) -> str:
    """Return one sentence on what keeps an address from playing; asks the server once."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORT
    plain = redact(url)
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as server:
            code = _describe(server, url)
    except socket.gaierror:
        return f"no host is called {host}. A typing error, or no name server?"
    except ConnectionRefusedError:
        return f"nothing listens on port {port} of {host}. Is the camera on, is RTSP switched on?"
    except TimeoutError:
        return f"{host} port {port}: no answer within {_TIMEOUT_S:g} s."
    except OSError as error:
        return f"{host} port {port}: {error.strerror or type(error).__name__}."
    if code is None:
        return f"{host} port {port} answers, but not as an RTSP server does."
    if code == 200:
        return (
            f"the server knows {plain}, but no video came over {transport}. Try the other "
            "transport (#transport=), a codec that FFmpeg has (H.264, H.265), a larger #open=."
        )
    return f"{_ANSWERS.get(code, f'the server answers {code}')}."


def _describe(server: socket.socket, url: str) -> int | None:
    """Ask for the stream's description, without the login; return the answer's code."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    server.settimeout(_TIMEOUT_S)
    server.sendall(request.encode("ascii", "replace"))
    found = re.match(rb"RTSP/\d\.\d (\d{3})", server.recv(64))
    return int(found[1]) if found else None
