"""One reader of a feed: a queue, and a thread that waits for the reader instead of the others."""

from __future__ import annotations

import contextlib
import socket
import threading

from edgesam_rt.sinks.feed_message import Message
from edgesam_rt.slot import Closed, Slot

_FINISH_S = 1.0  # how long a reader may take for what waits at the end


class FeedReader:
    """Sends messages over a connection; the oldest go when too many wait, and the next says so.

    Args:
        line: the connection; closed at the end.
        capacity: messages that wait.
    """

    def __init__(self, line: socket.socket, capacity: int) -> None:
        self._line = line
        self._queue: Slot[Message] = Slot(capacity, "drop_oldest", on_drop=self._lose)
        self._lost = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._send_all, name="feed reader", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive()

    def put(self, message: Message) -> None:
        """Queue a message; never waits."""
        with contextlib.suppress(Closed):
            self._queue.put(message)

    def finish(self) -> None:
        """Send what waits, and no more."""
        self._queue.close()

    def close(self) -> None:
        """Wait a moment for what is still on its way, then hang up."""
        self._thread.join(_FINISH_S)
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def _take_lost(self) -> int:
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def _send_all(self) -> None:
        with self._line, contextlib.suppress(OSError, Closed):
            while True:
                message = self._queue.get()
                self._line.sendall(message.to_bytes(self._take_lost()))
        self._queue.close(discard=True)
