"""Those who look while it runs: one scrapes metrics, one watches the live page."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

READ_BYTES = 65_536
_TIMEOUT_S = 10.0


def scrape(url: str) -> Mapping[str, float]:
    """Values of `/metrics` that have no labels, by name."""
    with urlopen(f"{url}/metrics", timeout=_TIMEOUT_S) as answer:
        text = answer.read().decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


class Viewer(threading.Thread):
    """Reads the page's live stream, and asks for status and objects as the page does.

    Attributes:
        bytes_read: of the stream.
        connections: how often it connected.
    """

    def __init__(self, address: str, stream: str) -> None:
        super().__init__(name="viewer", daemon=True)
        self._address, self._stream = address, stream
        self._ended = threading.Event()
        self.bytes_read = 0
        self.connections = 0

    def run(self) -> None:
        """Look until told to stop; a stream that ends is opened again."""
        while not self._ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._look()
            self._ended.wait(0.5)

    def _look(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request("GET", self._stream)
            answer = connection.getresponse()
            self.connections += 1
            asked_at = time.monotonic()
            while not self._ended.is_set() and (part := answer.read1(READ_BYTES)):
                self.bytes_read += len(part)
                if time.monotonic() - asked_at > 1.0:
                    asked_at = time.monotonic()
                    self._ask()

    def _ask(self) -> None:
        for path in ("/api/v1/status", "/api/v1/objects", "/api/v1/result?masks=boxes"):
            with urlopen(f"http://{self._address}{path}", timeout=_TIMEOUT_S) as answer:
                answer.read()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join(_TIMEOUT_S)
