"""The live page's files and its feed, as a client without a browser sees them."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.server import live
from tests.pipeline.doubles import synthetic
from tests.server.asking import Served, served, wait_for

FOLDER = Path(live.__file__).with_name("page")
TOKEN = "correct-horse-battery-staple"


@contextmanager
def feed_of(run: Served) -> Iterator[BinaryIO]:
    """The feed behind the answer's head, chunks joined."""
    line = socket.create_connection((run.address.host, run.address.port), 20)
    line.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with line, line.makefile("rb") as raw:
        assert raw.readline() == b"HTTP/1.1 200 OK\r\n"
        while raw.readline() != b"\r\n":
            pass
        yield raw


def read(feed: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """One message: the server sends each as a chunk of its own."""
    size = int(feed.readline(), 16)
    data = feed.read(size)
    assert feed.read(2) == b"\r\n"
    line, _, payload = data.partition(b"\n")
    row: dict[str, Any] = json.loads(line)
    assert row["payload"] == len(payload)
    return row, payload


def test_every_file_of_the_page_is_served_with_its_kind(site: Served) -> None:
    for path, (name, media) in live.PAGE.items():
        reply = site.get(path)
        assert (reply.status, reply.headers["content-type"]) == (200, media)
        assert reply.body == (FOLDER / name).read_bytes()
        assert "script-src 'self'" in reply.headers["content-security-policy"]
        assert "unsafe" not in reply.headers["content-security-policy"]


def test_nothing_else_of_the_folder_or_the_disk_is_served(site: Served) -> None:
    assert {name for name, _ in live.PAGE.values()} == {p.name for p in FOLDER.iterdir()}
    for path in ("/page/", "/page/index.html", "/page/../live.py", "/page/%2e%2e/live.py", "//etc"):
        assert site.get(path).status == 404


def test_the_page_is_small_and_asks_nobody_else() -> None:
    texts = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert sum(len(text.encode()) for text in texts.values()) < 100_000
    addresses = re.findall(r"\b(?:https?|wss?):[^\s\"'<]*", "".join(texts.values()))
    assert addresses == ["http://www.w3.org/2000/svg"], "the name of a format, asked of nobody"
    assert "style=" not in texts["index.html"]
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=", texts["index.html"])


def test_the_feed_is_results_with_their_pictures(site: Served) -> None:
    site.ask("POST", "/api/v1/objects", {"points": [[48, 32]]})
    with feed_of(site) as feed:
        rows = [read(feed) for _ in range(3)]
    ids = [row["frame_id"] for row, _ in rows]
    assert ids == sorted(set(ids))
    row, jpeg = rows[-1]
    assert "rle" in row["objects"][0]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert list(picture.shape[:2]) == row["image_hw"]


def test_a_feed_without_results_says_that_it_is_there(engines: EngineSet) -> None:
    camera = partial(synthetic, 2, live=True, fps=20)
    with served(engines, camera=camera) as run, feed_of(run) as feed:
        rows = [read(feed)[0] for _ in range(3)]
    assert "frame_id" in rows[0]
    assert rows[-1] == {"feed": 1, "payload": 0, "lost": 0, "idle": True}


def test_large_pictures_are_sent_smaller(engines: EngineSet) -> None:
    class Large:
        pixels = np.zeros((2000, 3000, 3), np.uint8)

    class Result:
        frame = Large

    jpeg = live.jpeg_of(Result)  # type: ignore[arg-type]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (853, 1280, 3)


def test_one_page_too_many_is_told_so_and_a_free_seat_is_given_again(site: Served) -> None:
    with ExitStack() as stack:
        for _ in range(live._MOST):
            read(stack.enter_context(feed_of(site)))
        reply = site.get("/live")
        assert (reply.status, "look on already" in reply.json["detail"]) == (503, True)
    wait_for(lambda: site.ask("HEAD", "/live").status == 200)


def test_the_page_needs_no_token_and_its_feed_does(engines: EngineSet) -> None:
    with served(engines, token=TOKEN) as run:
        assert all(run.get(path).status == 200 for path in live.PAGE)
        assert run.get("/live").status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_is_only_read(site: Served, method: str) -> None:
    assert site.ask(method, "/").status == 405
