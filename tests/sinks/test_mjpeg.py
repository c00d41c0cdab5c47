"""`mjpeg:` with real clients: quick, slow, too many, and such as send junk."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.error import HTTPError

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.drawing import overlay
from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.mjpeg import MjpegSink
from tests.result_doubles import make_result

PATIENCE_S = 10


def opened(options: str = "") -> MjpegSink:
    sink = open_sink(parse_sink(f"mjpeg::0{options}"), RunInfo())
    assert isinstance(sink, MjpegSink)
    return sink


@pytest.fixture
def sink() -> Iterator[MjpegSink]:
    made = opened()
    yield made
    made.close()


@contextmanager
def connection(sink: MjpegSink, request: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", sink.port), PATIENCE_S) as line:
        line.sendall(request)
        yield line


def stream_of(line: socket.socket) -> Iterator[bytes]:
    """The pictures of a stream, each as its bytes."""
    with line.makefile("rb") as feed:
        assert feed.readline() == b"HTTP/1.1 200 OK\r\n"
        for text in iter(feed.readline, b""):
            name, _, value = text.partition(b": ")
            if name == b"Content-Length":
                assert feed.readline() == b"\r\n"
                yield feed.read(int(value))


@contextmanager
def feeding(sink: MjpegSink, first: int = 0) -> Iterator[Callable[[], int]]:
    """Write results all the time; yields how many there were."""
    count, done = [first], threading.Event()

    def work() -> None:
        while not done.wait(0.005):
            sink.write(make_result(count[0] % 50))
            count[0] += 1

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield lambda: count[0]
        finally:
            done.set()
            working.result()


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_stream_shows_results_drawn_on_their_pictures(sink: MjpegSink) -> None:
    result = make_result(3)
    sink.write(result)
    with connection(sink, GET) as line:
        jpeg = next(stream_of(line))
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.COLOR_BGR2RGB)
    drawn = overlay.draw(result)[:120].astype(int)
    assert np.abs(shown[:120].astype(int) - drawn).mean() < 6


def test_a_stream_goes_on_with_every_result(sink: MjpegSink) -> None:
    sink.write(make_result(0))
    with connection(sink, GET) as line:
        pictures = stream_of(line)
        seen = [next(pictures)]
        for i in range(1, 4):
            sink.write(make_result(i))
            seen.append(next(pictures))
    assert len(set(seen)) == 4


def test_a_snapshot_is_one_picture(sink: MjpegSink) -> None:
    sink.write(make_result())
    url = f"http://127.0.0.1:{sink.port}/snapshot.jpg"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(answer.read(), np.uint8), 1).shape[1] == 160


def test_each_picture_is_made_once_for_all_and_not_at_all_for_nobody(
    sink: MjpegSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = overlay.draw
    monkeypatch.setattr(
        overlay, "draw", lambda r, fps: drawn.append(r.frame.frame_id) or draw(r, fps=fps)
    )
    for i in range(5):
        sink.write(make_result(i))
    assert drawn == []
    with connection(sink, GET) as a, connection(sink, GET) as b, connection(sink, GET) as c:
        jpegs = {next(stream_of(line)) for line in (a, b, c)}
    assert len(jpegs) == 1
    assert drawn == [4]


def test_a_slow_client_misses_pictures_and_nobody_else_does(sink: MjpegSink) -> None:
    with connection(sink, GET) as slow, connection(sink, GET) as quick, feeding(sink) as count:
        pictures = stream_of(quick)
        next(pictures)
        began, before = time.monotonic(), count()
        for _ in range(40):
            next(pictures)
        assert time.monotonic() - began < PATIENCE_S
        assert count() - before < 40 * 20  # the quick one keeps up, whatever the slow one does
        slow.settimeout(PATIENCE_S)
        assert len(next(stream_of(slow))) > 1000


def test_pictures_may_be_fewer_per_second() -> None:
    sink = opened("?fps=20")
    with connection(sink, GET) as line, feeding(sink):
        pictures = stream_of(line)
        next(pictures)
        began = time.monotonic()
        for _ in range(10):
            next(pictures)
        assert time.monotonic() - began > 0.45
    sink.close()


def test_one_client_too_many_is_told_so_and_a_free_seat_is_given_again() -> None:
    sink = opened("?clients=1")
    sink.write(make_result())
    url = f"http://127.0.0.1:{sink.port}/snapshot.jpg"
    with connection(sink, GET) as line:
        next(stream_of(line))
        with pytest.raises(HTTPError, match="503"):
            urllib.request.urlopen(url, timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE_S).close()
            break
        except HTTPError as error:
            error.close()
            time.sleep(0.05)
    else:
        pytest.fail("the seat was not given again")
    sink.close()


def answer_to(sink: MjpegSink, request: bytes) -> bytes:
    with connection(sink, request) as line:
        line.shutdown(socket.SHUT_WR)
        return line.makefile("rb").read(64)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /live HTTP/1.1\r\n\r\n", b"404"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"400"),
        (b"GET http://example.org/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"", b"400"),
    ],
)
def test_what_is_no_request_for_a_picture_is_refused(
    sink: MjpegSink, request_: bytes, status: bytes
) -> None:
    try:
        assert answer_to(sink, request_).startswith(b"HTTP/1.1 " + status)
    except ConnectionResetError:
        assert len(request_) > 8192, "only what was not read to its end is cut off"


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=300))
def test_junk_never_ends_the_server(junk: bytes) -> None:
    answer = answer_to(served(), junk)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 200"))


_SERVED: list[MjpegSink] = []


def served() -> MjpegSink:
    """One sink for all examples, with a picture."""
    if not _SERVED:
        _SERVED.append(opened())
        _SERVED[0].write(make_result())
    return _SERVED[0]


def test_silent_clients_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesam_rt.sinks.picture_server._REQUEST_S", 0.5)
    sink = opened("?clients=1")
    sink.write(make_result())
    lines = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(50)]
    time.sleep(1.0)
    with connection(sink, GET) as line:
        assert next(stream_of(line))
    for line in lines:
        line.close()
    sink.close()


def test_closing_lets_the_clients_go(sink: MjpegSink) -> None:
    sink.write(make_result())
    with connection(sink, GET) as line:
        pictures = stream_of(line)
        next(pictures)
        sink.close()
        line.settimeout(PATIENCE_S)
        assert list(pictures) == []


def test_a_port_that_is_taken_is_said(sink: MjpegSink) -> None:
    message = rf"cannot listen at 127\.0\.0\.1 port {sink.port}: Address already in use\. Name"
    with pytest.raises(SinkError, match=message):
        open_sink(parse_sink(f"mjpeg:127.0.0.1:{sink.port}"), RunInfo())


def test_a_host_that_is_not_this_machine_is_said() -> None:
    with pytest.raises(ConfigError, match=r"is no address of this machine"):
        open_sink(parse_sink("mjpeg:no.such.host.invalid:0"), RunInfo())
    with pytest.raises(SinkError, match=r"cannot listen at 192\.0\.2\.1"):
        open_sink(parse_sink("mjpeg:192.0.2.1:0"), RunInfo())


@pytest.mark.parametrize("target", ["here", "1.2.3.4", "1.2.3.4:x", ":99999", "::1:80", "a b:80"])
def test_an_address_that_is_none_is_said_before_anything_runs(target: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST:PORT, as"):
        parse_sink(f"mjpeg:{target}")


def test_it_listens_on_this_machine_alone_unless_told() -> None:
    sink = opened()
    assert sink._server is not None
    assert sink._server._server.server_address[0] == "127.0.0.1"
    sink.close()
