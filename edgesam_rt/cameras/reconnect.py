"""Live cameras that never die: deadlines, new connections, and a health that tells.

All live sources are this one class over their own `Feed`. The thread that reads also keeps watch,
so a frame that does not come is noticed without a thread more; what may hang in a driver hangs in
the thread of its connection (`cameras/newest.py`), which is left behind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edgesam_rt.cameras.backoff import Backoff
from edgesam_rt.cameras.breaks import Breaks
from edgesam_rt.cameras.feed import DamagedPicture, OpenFeed, Picture
from edgesam_rt.cameras.health import CameraHealth, Reason, State
from edgesam_rt.cameras.newest import Link, Start, start_newest
from edgesam_rt.cameras.parts import CameraParts
from edgesam_rt.cameras.patience import Patience
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import CameraError, CameraMissing, ConfigError
from edgesam_rt.records import Frame
from edgesam_rt.secrets import redact

MOST_STUCK = 3  # threads left behind in a driver; no more are started while so many hang
STEADY_S = 10.0  # a connection that lasted so long was a good one: the waits begin anew
CLOSE_S = 1.0  # how long `close` waits for the device to be given back

_SAYS: dict[State, tuple[int, str]] = {
    "live": (logging.INFO, "back"),
    "lost": (logging.WARNING, "lost, trying again"),
    "stuck": (logging.ERROR, "stuck: its driver holds all readers; only a new process may help"),
}
log = logging.getLogger(__name__)


class LiveCamera(CameraParts):
    """A camera at the world's pace, connected again whenever it breaks.

    Broken is: the driver says so, no frame by the deadline, or nothing but damaged pictures. A
    picture of another size is no fault. Frames replaced before they were read are counted in
    `losses` ("late"), damaged ones too ("unreadable"); ids skip both.

    Args:
        name: what to call it, without secrets.
        open_feed: opens the device; called again for every connection, in a thread of its own.
        patience: its deadlines.
        clock: stamps, deadlines.
        start: starts a connection; tests put a double here.
        backoff: waits between tries; tests put one without chance here.
        pause: waits; tests move their clock instead. `close` must end it.

    Raises:
        CameraMissing: it is not there and is not to be waited for.
    """

    def __init__(
        self,
        name: str,
        open_feed: OpenFeed,
        *,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        clock: Clock = CLOCK,
        start: Start = start_newest,
        backoff: Backoff | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(name, clock=clock, live=True)
        self._open_feed, self._patience, self._start = open_feed, patience, start
        self._backoff = backoff or Backoff(patience.retry_s)
        self._pause = pause or self._closed.wait
        self._connecting = threading.Lock()
        self._link: Link | None = None
        self._left_behind: list[Link] = []
        self._deadline_ns = self._retry_at_ns = self._connected_at_ns = 0
        self._record = Breaks()
        self._given = 0
        self._lost_before_first = 0
        self._captured_at_ns = 0
        self._connect()
        if self._link is not None and not patience.wait:
            self._await_opening(self._link)

    @property
    def health(self) -> CameraHealth:
        """How it is now; may be asked from any thread, while another reads."""
        links = [*self._left_behind, self._link]
        return self._record.health(
            now_ns=self._clock.now_ns(),
            threads=sum(link is not None and link.is_alive for link in links),
            closed=self._closed.is_set(),
        )

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet given; None if none came in time, for whatever reason.

        Raises:
            EndOfStream: the camera was closed.
            CameraMissing: it gave no first frame, and is not to be waited for.
        """
        until_ns = self._clock.now_ns() + round(timeout_s * 1e9)
        while not self._closed.is_set():
            left_s = self._until_s(until_ns)
            picture = self._get(left_s)
            if self._closed.is_set():
                break
            if picture is not None:
                return self._frame(picture)
            if self._clock.now_ns() >= until_ns:
                return None
        raise self._end()

    def close(self) -> None:
        """Give the device back; a second call does nothing. Wakes a `read` in another thread.

        Returns within `CLOSE_S`, even where the driver hangs.
        """
        with self._connecting:
            super().close()
            link = self._link
        if link is not None:
            link.close(CLOSE_S)

    def _get(self, left_s: float) -> Picture | None:
        """Wait for a picture of the connection; notice when it is broken, and make a new one."""
        link = self._link
        if link is None:
            self._try_again(left_s)
            return None
        try:
            picture = link.get(min(left_s, self._until_s(self._deadline_ns)))
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            self._break(_reason(error, link), error)
            return None
        if picture is None and self._clock.now_ns() >= self._deadline_ns:
            self._break("refused" if link.feed is None else "stalled", self._silence(link))
        return picture

    def _await_opening(self, link: Link) -> None:
        """Wait until the device is open, so that size and rate are known."""
        try:
            feed = link.opened(self._patience.open_s)
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            self._break("refused", error)
            return
        if feed is None:
            self._break("refused", self._silence(link))
        else:
            self.size_wh, self.fps = feed.size_wh, feed.fps

    def _silence(self, link: Link) -> CameraError:
        first = self._given == 0 or not self._record.is_live
        waited_s = self._patience.open_s if first else self._patience.stall_s
        what = "no frame came" if link.feed is not None else "it did not open"
        return CameraError(f"{self.name}: {what} in {waited_s:g} s.")

    def _break(self, reason: Reason, error: Exception) -> None:
        """Leave a broken connection behind and set the time of the next try."""
        link, self._link = self._link, None
        if link is not None:
            link.close(0)
            self._left_behind.append(link)
        if self._closed.is_set():
            return
        self._record.broke(reason, _words(error).removeprefix(f"{self.name}: "))
        if self._given == 0 and not self._patience.wait:
            raise _missing(self.name, error)
        now_ns = self._clock.now_ns()
        if self._record.is_live and now_ns - self._connected_at_ns >= STEADY_S * 1e9:
            self._backoff.reset()
        self._enter("lost")
        self._retry_at_ns = now_ns + round(self._backoff.next_s() * 1e9)

    def _try_again(self, left_s: float) -> None:
        """Connect anew, when it is time."""
        self._pause(min(left_s, self._until_s(self._retry_at_ns)))
        if self._clock.now_ns() < self._retry_at_ns:
            return
        self._left_behind = [link for link in self._left_behind if link.is_alive]
        if len(self._left_behind) >= MOST_STUCK:
            self._enter("stuck")
            self._retry_at_ns = self._clock.now_ns() + round(self._backoff.next_s() * 1e9)
            return
        self._connect()

    def _connect(self) -> None:
        with self._connecting:
            if self._closed.is_set():
                return
            self._record.tries += 1
            self._connected_at_ns = self._clock.now_ns()
            self._deadline_ns = self._connected_at_ns + round(self._patience.open_s * 1e9)
            self._link = self._start(self._open_feed, self._lose, f"grab:{self.name}")

    def _frame(self, picture: Picture) -> Frame:
        """Number and stamp a picture; the connection is good."""
        now_ns = self._clock.now_ns()
        lost = sum(self.losses.values())
        if self._given == 0:
            self._lost_before_first = lost
        if not self._record.is_live:
            self._came_alive()
        self._record.frame_at_ns = now_ns
        self._deadline_ns = now_ns + round(self._patience.stall_s * 1e9)
        self._see_size(picture)
        self._captured_at_ns = max(min(picture.captured_at_ns, now_ns), self._captured_at_ns + 1)
        index = self._given + lost - self._lost_before_first
        self._given += 1
        name = f"frame-{index:06d}"
        return Frame(index, picture.pixels, self._captured_at_ns, name, picture.capture_ms)

    def _came_alive(self) -> None:
        feed = self._link.feed if self._link is not None else None
        self.fps = feed.fps if feed is not None else None
        self._enter("live")

    def _see_size(self, picture: Picture) -> None:
        high, wide = picture.pixels.shape[:2]
        if self._given and self.size_wh not in (None, (wide, high)):
            log.info(
                "%s: its pictures are %dx%d now, before %s", self.name, wide, high, self.size_wh
            )
        self.size_wh = (wide, high)

    def _enter(self, state: State) -> None:
        """Change the state, and say so once."""
        story = self._record.enter(state, self._clock.now_ns())
        if story is not None:
            level, words = _SAYS[state]
            log.log(level, "camera %s: %s%s", self.name, words, story)

    def _until_s(self, time_ns: int) -> float:
        return max(0.0, (time_ns - self._clock.now_ns()) / 1e9)


def _reason(error: Exception, link: Link) -> Reason:
    if isinstance(error, DamagedPicture):
        return "garbage"
    return "refused" if link.feed is None else "ended"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _missing(name: str, error: Exception) -> Exception:
    """What to raise for a camera that was never there."""
    if isinstance(error, CameraMissing | ConfigError):
        return error
    prefix = "" if isinstance(error, CameraError) else f"{name}: "
    missing = CameraMissing(prefix + redact(_words(error)))
    missing.__cause__ = error
    return missing
