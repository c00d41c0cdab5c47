"""Clients that mean no good: real sockets, and a run that does not notice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.server import connections, guard
from edgesam_rt.server.bodies import MOST_BYTES
from edgesam_rt.server.rate import Rate
from tests.server.asking import Served, served, wait_for

OBJECTS = "/api/v1/objects"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST /api/v1/objects HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(connections, "PHASES_S", dict.fromkeys(connections.PHASES_S, 0.5))
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(guard, "PENALTY_S", 0.1)


@pytest.fixture(scope="module")
def run(engines: EngineSet) -> Iterator[Served]:
    with served(engines) as up:
        yield up


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def is_well(run: Served) -> bool:
    """Whether results flow and a new client is answered."""
    seen = run.running.pipeline.results_made
    wait_for(lambda: run.running.pipeline.results_made > seen + 1)
    return run.get("/healthz").status == 200


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /heal", HEAD, POST + b"Content-Length: 100\r\n\r\n{"],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_a_request_that_does_not_come_to_its_end_is_not_waited_for(
    begun: bytes, run: Served
) -> None:
    with closing(run.connect()) as client:
        client.sendall(begun)
        started = time.monotonic()
        assert rest_of(client) == b""
        assert time.monotonic() - started < 5
    assert is_well(run)


@pytest.mark.usefixtures("quick")
def test_a_head_that_dribbles_in_is_cut_off_however_busy_it_looks(run: Served) -> None:
    with closing(run.connect()) as client:
        client.sendall(HEAD)
        started = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - started < 10:
                client.sendall(b"X-More: 1\r\n")
                time.sleep(0.05)
        assert time.monotonic() - started < 5


@pytest.mark.usefixtures("quick")
def test_an_answer_that_is_not_read_is_not_kept_for_ever(run: Served) -> None:
    with closing(run.connect()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        client.settimeout(5)
        started = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):
            while time.monotonic() - started < 20:
                client.sendall(asked * 100)
    assert is_well(run)


@pytest.mark.parametrize(
    "junk",
    [
        bytes(range(256)) * 40,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        HEAD + b"X: 1\r\n" * 20_000 + b"\r\n",
        b"\r\n" * 3,
    ],
)
def test_junk_ends_its_own_connection(junk: bytes, run: Served) -> None:
    with closing(run.connect()) as client:
        client.sendall(junk)
        client.shutdown(socket.SHUT_WR)
        answer = rest_of(client)
        assert b" 200 " not in answer.partition(b"\r\n")[0]
    assert is_well(run)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/objects/../../../etc/passwd",
        "/api/v1/objects/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/..%00/etc/passwd",
        "//etc/passwd",
        "/api/v1/objects/" + "9" * 5000,
        "/api/v1/objects/1%00",
    ],
)
def test_no_path_reaches_a_file(path: str, run: Served) -> None:
    reply = run.get(path)
    assert reply.status == 404
    assert b"root:" not in reply.body


def test_a_body_that_is_too_large_is_refused_before_it_is_read(run: Served) -> None:
    with closing(run.connect()) as client:
        client.sendall(POST + b"Content-Length: 1000000000\r\n\r\n")
        assert b" 413 " in client.recv(4096).partition(b"\r\n")[0]
    assert run.ask("POST", OBJECTS, b" " * (MOST_BYTES + 1)).status == 413


def test_a_body_without_a_length_is_refused_when_it_grows_too_large(run: Served) -> None:
    with closing(run.connect()) as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        client.sendall(chunk * 5)
        assert b" 413 " in client.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 60_000, 422),
        (b'{"points":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 422),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422),
        (b'{"points": [[' + b"9" * 50_000 + b", 1]]}", 422),
        (b'{"points": [[1e999, 1]]}', 422),
        (b'{"points": [[NaN, 1]]}', 400),
        (b'{"points": ' + json.dumps([[1, 1]] * 5000).encode() + b"}", 422),
        (b"\xff\xfe\x00", 400),
        (b"", 400),
        (b"null", 422),
        (b'{"box": [1, 2, 3]}', 422),
        (b'{"box": [1, 2, 3, 4], "box": "x"}', 422),
    ],
)
def test_deep_huge_and_wrong_json_is_refused_and_said(
    body: bytes, status: int, run: Served
) -> None:
    reply = run.ask("POST", OBJECTS, body)
    assert (reply.status, reply.json["status"]) == (status, status)


def test_what_is_wrong_is_said_with_field_expected_and_got(run: Served) -> None:
    wrong = run.ask("POST", OBJECTS, {"box": [1, 2, "3", 4]}).json["errors"]
    assert wrong == [{"field": "box[2]", "expected": "float", "got": "str"}]
    assert "did you mean points?" in run.ask("POST", OBJECTS, {"poinst": []}).json["detail"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("10.1.2.3", 200),
    ],
)
def test_a_name_that_is_not_ours_is_not_answered(host: str, status: int, run: Served) -> None:
    assert run.get("/api/v1/mode", Host=host).status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_another_sites_page_changes_nothing(headers: dict[str, str], run: Served) -> None:
    assert run.ask("PUT", "/api/v1/mode", {"mode": "prompt"}, headers).status == 403
    assert run.get("/api/v1/mode").json["mode"] == "track"


def test_another_sites_page_shows_no_picture_of_ours(run: Served) -> None:
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert run.get("/api/v1/snapshot", **embedded).status == 403
    own = run.get("/api/v1/snapshot", **{"Sec-Fetch-Site": "same-origin"})
    assert (own.status, own.headers["cross-origin-resource-policy"]) == (200, "same-origin")


def test_a_thousand_connections_leave_room_for_one_more(run: Served) -> None:
    with ExitStack() as opened:
        for _ in range(1000):
            client = opened.enter_context(closing(socket.socket()))
            client.setblocking(False)
            client.connect_ex((run.address.host, run.address.port))
        time.sleep(1)
        assert is_well(run)
        assert accepted(run) <= connections.MOST + 1


def accepted(run: Served) -> int:
    """Connections that the server holds: those of its port that are not just waiting."""
    port = f":{run.address.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = {(row[1], row[2]): row[9] for row in rows if row[3] == "01"}
    return sum(here.endswith(port) and inode != "0" for (here, _), inode in established.items())


def test_who_asks_too_often_waits_and_is_told(
    engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PENALTY_S", 0.2)
    with served(engines, rate=Rate(per_s=0.5, burst=3), waits=False) as run:
        codes = [run.get("/api/v1/mode").status for _ in range(3)]
        started = time.monotonic()
        refused = run.get("/api/v1/mode")
        assert codes == [200, 200, 200]
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert time.monotonic() - started >= 0.2
