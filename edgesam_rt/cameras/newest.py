"""Opens and reads a feed in a thread of its own and hands over the newest picture it gave.

Devices block in native code, V4L2 for ten seconds when a camera goes silent, and giving one back
while another thread is inside it crashes. So one thread opens, reads and gives back, and the
readers wait here, where a timeout and `close` can reach them.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Protocol

from edgesam_rt.cameras.feed import DamagedPicture, Feed, OpenFeed, Picture
from edgesam_rt.errors import ShapeError
from edgesam_rt.records import check_image
from edgesam_rt.secrets import redact

MOST_DAMAGED = 30  # pictures in a row; then the cable, the camera or the stream is at fault
log = logging.getLogger(__name__)


class Link(Protocol):
    """What is used of `Newest`; a double with a simulated clock stands in for it."""

    @property
    def feed(self) -> Feed | None: ...  # noqa: D102

    @property
    def is_alive(self) -> bool: ...  # noqa: D102

    def opened(self, timeout_s: float) -> Feed | None: ...  # noqa: D102

    def get(self, timeout_s: float) -> Picture | None: ...  # noqa: D102

    def close(self, timeout_s: float) -> None: ...  # noqa: D102


class Newest:
    """One connection: keeps the newest picture until somebody takes it.

    An error of the feed, or `DamagedPicture` after too many of those, ends the thread and comes
    out of every later call.

    Args:
        open_feed: opens the device, in the thread that will read it.
        lose: called in that thread with "late" when a picture is replaced before anybody took it,
            and with "unreadable" when one cannot be used.
        name: of the thread.
    """

    def __init__(self, open_feed: OpenFeed, *, lose: Callable[[str], None], name: str) -> None:
        self._open_feed, self._lose = open_feed, lose
        self._changed = threading.Condition()
        self._feed: Feed | None = None
        self._item: Picture | None = None
        self._error: Exception | None = None
        self._stopping = False
        self._damaged = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def opened(self, timeout_s: float) -> Feed | None:
        """Return the feed once it is open, for its `size_wh` and `fps`; None if not in time.

        Raises:
            Exception: what opening it raised.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._feed or self._error or self._stopping, max(timeout_s, 0.0)
            )
            if self._feed is None and self._error is not None:
                raise self._error
            return self._feed

    @property
    def feed(self) -> Feed | None:
        """What was opened; None while it was not."""
        return self._feed

    def get(self, timeout_s: float) -> Picture | None:
        """Return the newest picture not yet given, waiting for one; None if none came in time.

        Raises:
            Exception: what the feed raised, once nothing is left to give.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._item is not None or self._error or self._stopping, max(timeout_s, 0.0)
            )
            if self._stopping:
                return None
            item, self._item = self._item, None
            if item is None and self._error is not None:
                raise self._error
            return item

    def close(self, timeout_s: float) -> None:
        """Wake all and wait a little for the device to be given back; twice is quiet."""
        with self._changed:
            self._stopping = True
            self._item = None
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
            if timeout_s and self._thread.is_alive():
                log.debug("%s: blocked; the device is given back when it answers", self.name)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still holds the device."""
        return self._thread.is_alive()

    @property
    def name(self) -> str:
        """Name of the thread."""
        return self._thread.name

    def _run(self) -> None:
        feed: Feed | None = None
        try:
            feed = self._open_feed()
            self._tell(feed=feed)
            while not self._stopping:
                self._read(feed)
        except Exception as error:  # noqa: BLE001 - comes out of get, in the reader's thread
            log.debug("%s: %s", self.name, redact(traceback.format_exc()))
            self._tell(error=error.with_traceback(None))  # which would keep feed and picture alive
        finally:
            if feed is not None:
                self._give_back(feed)

    def _give_back(self, feed: Feed) -> None:
        try:
            feed.close()
        except Exception:  # noqa: BLE001 - it is gone anyway, and nobody waits for the answer
            log.debug("%s: the driver failed when the device was given back", self.name)

    def _tell(self, *, feed: Feed | None = None, error: Exception | None = None) -> None:
        with self._changed:
            self._feed, self._error = feed or self._feed, error
            self._changed.notify_all()

    def _read(self, feed: Feed) -> None:
        """Take one picture; a damaged one is counted and passed over."""
        try:
            taken = feed.take()
            if taken is None:
                return
            picture = _checked(taken)
        except DamagedPicture as error:
            if not self._stopping:
                self._lose("unreadable")
            self._damaged += 1
            if self._damaged >= MOST_DAMAGED:
                raise DamagedPicture(
                    f"{self._damaged} damaged pictures in a row: {error}"
                ) from error
            return
        self._damaged = 0
        self._put(picture)

    def _put(self, picture: Picture) -> None:
        with self._changed:
            if self._stopping:
                return
            replaced, self._item = self._item is not None, picture
            self._changed.notify_all()
        if replaced:
            self._lose("late")


Start = Callable[[OpenFeed, Callable[[str], None], str], Link]


def start_newest(open_feed: OpenFeed, lose: Callable[[str], None], name: str) -> Link:
    """Start a thread that opens and reads a feed."""
    return Newest(open_feed, lose=lose, name=name)


def _checked(picture: Picture) -> Picture:
    """Return a picture that has the form of one; its bytes may be any, all black too."""
    try:
        check_image(picture.pixels)
    except ShapeError as error:
        raise DamagedPicture(str(error)) from error
    return picture
