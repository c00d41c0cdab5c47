"""Reads a device in a thread of its own and hands over the newest thing it gave.

Devices block in native code, V4L2 for ten seconds when a camera goes silent, and giving one back
while another thread is inside it crashes. So one thread reads and gives back, and the readers wait
here, where a timeout and `close` can reach them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Newest(Generic[T]):
    """Keeps the newest item of a blocking source until somebody takes it.

    Args:
        take: waits for the next item; None is a failed try; an exception ends the thread and
            comes out of every later `get`.
        release: gives the device back, called once, in the thread that called `take`.
        on_replaced: called in that thread when an item is replaced before anybody took it.
        name: of the thread.
    """

    def __init__(
        self,
        take: Callable[[], T | None],
        release: Callable[[], None],
        *,
        on_replaced: Callable[[], None],
        name: str,
    ) -> None:
        self._take, self._release, self._on_replaced = take, release, on_replaced
        self._changed = threading.Condition()
        self._item: T | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def get(self, timeout_s: float) -> T | None:
        """Return the newest item not yet given, waiting for one; None if none came or `close` did.

        Raises:
            Exception: what `take` raised, once nothing is left to give.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._item is not None or self._error or self._stopping, max(timeout_s, 0.0)
            )
            item, self._item = self._item, None
            if item is None and self._error is not None and not self._stopping:
                raise self._error
            return None if self._stopping else item

    def close(self, timeout_s: float = 1.0) -> None:
        """Wake all and wait a little for the device to be given back; twice is quiet."""
        with self._changed:
            self._stopping = True
            self._item = None
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                log.debug("%s: device still blocked; it is given back when it answers", self.name)

    @property
    def name(self) -> str:
        """Name of the thread."""
        return self._thread.name

    def _run(self) -> None:
        try:
            while not self._stopping:
                item = self._take()
                if item is not None:
                    self._put(item)
        except Exception as error:  # noqa: BLE001 - comes out of get, in the reader's thread
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            self._release()

    def _put(self, item: T) -> None:
        with self._changed:
            if self._item is not None:
                self._on_replaced()
            self._item = item
            self._changed.notify_all()
