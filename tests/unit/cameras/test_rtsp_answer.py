"""What keeps an address from playing, told by servers that answer in all wrong ways."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from edgesam_rt.cameras import rtsp_answer
from edgesam_rt.cameras.rtsp_answer import why_not

Serve = Callable[[bytes | None], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server that answers one request with these bytes, or never; gives its address."""
    monkeypatch.setattr(rtsp_answer, "_TIMEOUT_S", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    threads: list[threading.Thread] = []

    def start(answer: bytes | None) -> str:
        def talk() -> None:
            client, _ = listener.accept()
            with client:
                assert client.recv(4096).startswith(b"DESCRIBE rtsp://127.0.0.1")
                if answer is None:
                    done.wait(5)
                else:
                    client.sendall(answer)

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[-1].start()
        return f"rtsp://me:hunter2@127.0.0.1:{listener.getsockname()[1]}/cam"

    yield start
    done.set()
    for thread in threads:
        thread.join(5)
    listener.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no answer within 0.2 s"),
        (b"", "answers, but not as an RTSP server does"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answers, but not as an RTSP server does"),
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "wants a login"),
        (b"RTSP/1.0 404 Not Found\r\n\r\n", "no such path"),
        (b"RTSP/1.0 418 Teapot\r\n\r\n", "the server answers 418"),
        (
            b"RTSP/1.0 200 OK\r\n\r\n",
            r"rtsp://\*\*\*@127.0.0.1:\d+/cam, but no video came over udp",
        ),
    ],
)
def test_an_answer_becomes_a_sentence_without_the_login(
    serve: Serve, answer: bytes | None, said: str
) -> None:
    sentence = why_not(serve(answer), "udp")
    assert re.search(said, sentence), sentence
    assert "hunter2" not in sentence


def test_a_name_that_nobody_has() -> None:
    assert why_not("rtsp://camera.invalid/x", "tcp").startswith("no host is called camera.invalid")
