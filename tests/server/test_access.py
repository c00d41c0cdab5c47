"""Where it listens and who may ask: the rules by themselves, then a server with a token."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError
from edgesam_rt.server import guard
from edgesam_rt.server.access import COOKIE, Access, check_form
from edgesam_rt.server.address import Address, listen, parse_address
from edgesam_rt.server.entry import make_entry
from edgesam_rt.server.rate import CLIENTS_REMEMBERED, Buckets, Rate
from tests.camera_doubles import ManualClock
from tests.server.asking import Served, served

TOKEN = "correct-horse-battery-staple"
SESSION, MODE = "/api/v1/session", "/api/v1/mode"


@pytest.mark.parametrize(
    ("text", "host", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("localhost:8080", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("0.0.0.0:8080", "0.0.0.0", False),
        ("[::]:8080", "::", False),
        ("192.0.2.7:8080", "192.0.2.7", False),
    ],
)
def test_an_address_is_read_and_known_as_our_own_or_not(
    text: str, host: str, loopback: bool
) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, 8080, loopback)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["8080", ":8080", "camera.local:80", "127.0.0.1", "127.0.0.1:70000", "::1:80", "a:b:c"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected ADDRESS:PORT, for example 127\.0\.0\.1:8080"):
        parse_address(text)


def test_an_address_that_is_taken_is_said() -> None:
    with listen(Address("127.0.0.1", 0)) as held:
        taken = Address("127.0.0.1", held.getsockname()[1])
        with pytest.raises(ConfigError, match="already in use. Choose another"):
            listen(taken)


def test_others_need_a_token() -> None:
    with pytest.raises(ConfigError, match="so it needs a token"):
        make_entry("0.0.0.0:8080", None)
    assert make_entry("0.0.0.0:8080", TOKEN).access.token == TOKEN
    assert make_entry("127.0.0.1:8080", None).access.token is None


@pytest.mark.parametrize("text", ["", "short", "with space in it, long", "ümlaut" * 5, "a\nb" * 9])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_form(text, "http_token_file")
    assert "openssl rand" in str(refused.value)
    assert not text or text not in str(refused.value)


def test_a_token_is_in_no_text_of_ours() -> None:
    assert TOKEN not in repr(make_entry("127.0.0.1:1", TOKEN))
    assert TOKEN not in Access(TOKEN).session


def test_buckets_fill_with_time_and_are_never_too_many() -> None:
    clock = ManualClock()
    buckets = Buckets(Rate(per_s=2, burst=3), clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    clock.advance(0.5)
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    for i in range(CLIENTS_REMEMBERED + 10):
        buckets.take(str(i))
    assert len(buckets._left) == CLIENTS_REMEMBERED


@pytest.fixture(scope="module")
def locked(engines: EngineSet) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "PENALTY_S", 0.01)
        with served(engines, token=TOKEN, waits=False) as run:
            yield run


@pytest.mark.parametrize("path", ["/healthz", "/metrics", MODE, "/api/v1/openapi.json", "/x"])
def test_without_the_token_nothing_is_told(path: str, locked: Served) -> None:
    refused = locked.get(path)
    assert (refused.status, refused.json["title"]) == (401, "Unauthorized")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    for wrong in ("Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ü"):
        headers = {"Authorization": wrong.encode("latin-1").decode("latin-1")}
        assert locked.ask("GET", path, headers=headers).status == 401


def test_with_the_token_it_answers(locked: Served) -> None:
    assert locked.get(MODE, Authorization=f"Bearer {TOKEN}").status == 200
    assert locked.get(MODE, Authorization=f"bearer {TOKEN}").status == 200


def test_a_page_shows_the_token_once_and_keeps_a_cookie_that_is_not_the_token(
    locked: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locked.get(SESSION).json == {"needs_token": True}
    monkeypatch.setattr(guard, "PENALTY_S", 0.3)
    started = time.monotonic()
    assert locked.ask("POST", SESSION, {"token": "wrong"}).status == 401
    assert time.monotonic() - started >= 0.3, "tokens can be guessed quickly"
    opened = locked.ask("POST", SESSION, {"token": TOKEN})
    assert opened.status == 204
    cookie = opened.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    pair = cookie.partition(";")[0]
    assert locked.get(MODE, Cookie=f"other=1; {pair}").status == 200
    assert locked.get(MODE, Cookie=f"{pair}0").status == 401
    assert locked.get(MODE, Cookie=f"{COOKIE}={TOKEN}").status == 401
