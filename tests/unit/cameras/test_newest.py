"""One connection in its thread: the newest picture, errors, and drivers that hang."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edgesam_rt.cameras.feed import Feed, Picture
from edgesam_rt.cameras.newest import MOST_DAMAGED, Newest
from edgesam_rt.cameras.patience import Patience
from edgesam_rt.cameras.reconnect import CLOSE_S, LiveCamera
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import CameraError

PATIENCE_S = 5.0


class HandFeed:
    """Gives what the test hands it, one after another; blocks meanwhile, as a driver does."""

    size_wh: tuple[int, int] | None = (8, 6)
    fps: float | None = None

    def __init__(self) -> None:
        self.handed: list[Picture | Exception | None] = []
        self.changed = threading.Condition()
        self.taken = 0
        self.closed = threading.Event()
        self.close_error: Exception | None = None

    def hand(self, *items: Picture | Exception | None) -> None:
        """Hand items over and wait until all are taken."""
        with self.changed:
            self.handed.extend(items)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: not self.handed, PATIENCE_S)

    def take(self) -> Picture | None:
        with self.changed:
            self.taken += 1
            self.changed.wait_for(lambda: self.handed or self.closed.is_set())
            item = self.handed.pop(0) if self.handed else None
            self.changed.notify_all()
        if isinstance(item, Exception):
            raise item
        return item

    def let_go(self) -> None:
        with self.changed:
            self.closed.set()
            self.changed.notify_all()

    def close(self) -> None:
        self.closed.set()
        if self.close_error:
            raise self.close_error


def shot(value: int, shape: tuple[int, ...] = (6, 8, 3), kind: type = np.uint8) -> Picture:
    return Picture(np.full(shape, value, kind), CLOCK.now_ns(), 0.0)


@pytest.fixture
def feed() -> Iterator[HandFeed]:
    feed = HandFeed()
    yield feed
    feed.let_go()


@pytest.fixture
def losses() -> Counter[str]:
    return Counter()


@pytest.fixture
def newest(feed: HandFeed, losses: Counter[str]) -> Iterator[Newest]:
    newest = Newest(lambda: feed, lose=lambda why: losses.update([why]), name="grab:test")
    yield newest
    newest.close(0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_newest_wins_and_the_rest_is_late(
    newest: Newest, feed: HandFeed, losses: Counter[str]
) -> None:
    feed.hand(shot(1), shot(2), shot(3))
    wait_for(lambda: losses["late"] == 2)
    taken = newest.get(PATIENCE_S)
    assert taken is not None
    assert taken.pixels[0, 0, 0] == 3


def test_nothing_yet_is_none_and_no_loss(
    newest: Newest, feed: HandFeed, losses: Counter[str]
) -> None:
    feed.hand(None, None)
    assert newest.get(0.01) is None
    assert not losses


@pytest.mark.parametrize(
    "damaged",
    [shot(0, (6, 8)), shot(0, (6, 8, 4)), shot(0, (0, 8, 3)), shot(0, kind=np.uint16)],
    ids=["grey", "alpha", "empty", "deep"],
)
def test_what_is_no_picture_is_counted_and_passed_over(
    newest: Newest, feed: HandFeed, losses: Counter[str], damaged: Picture
) -> None:
    feed.hand(damaged, shot(7))
    taken = newest.get(PATIENCE_S)
    assert taken is not None
    assert taken.pixels[0, 0, 0] == 7
    assert losses == {"unreadable": 1}


def test_nothing_but_damaged_pictures_ends_it(newest: Newest, feed: HandFeed) -> None:
    feed.hand(*[shot(0, (6, 8)) for _ in range(MOST_DAMAGED)])
    with pytest.raises(CameraError, match=f"{MOST_DAMAGED} damaged pictures in a row"):
        newest.get(PATIENCE_S)


def test_a_good_one_between_damaged_ones_keeps_it_alive(newest: Newest, feed: HandFeed) -> None:
    few = [shot(0, (6, 8)) for _ in range(MOST_DAMAGED - 1)]
    feed.hand(*few, shot(5), *few, shot(6))
    wait_for(lambda: newest.get(0) is not None)
    assert newest.is_alive


def test_an_error_comes_after_the_last_picture_and_every_time(
    newest: Newest, feed: HandFeed
) -> None:
    feed.hand(shot(1), CameraError("unplugged"))
    wait_for(lambda: not newest.is_alive)
    assert newest.get(0) is not None
    for _ in range(2):
        with pytest.raises(CameraError, match="unplugged"):
            newest.get(0)
    assert feed.closed.is_set()


def test_a_device_that_fails_when_it_is_given_back_is_forgotten(
    newest: Newest, feed: HandFeed
) -> None:
    feed.close_error = RuntimeError("Failed to queue buffer")
    feed.hand(CameraError("unplugged"))
    wait_for(lambda: not newest.is_alive)  # and pytest fails a test whose thread raised


def test_an_opening_that_fails_is_told_and_leaves_no_feed() -> None:
    def refuse() -> Feed:
        raise CameraError("no such device")

    newest = Newest(refuse, lose=lambda _: None, name="grab:refused")
    for ask in (newest.opened, newest.get):
        with pytest.raises(CameraError, match="no such device"):
            ask(PATIENCE_S)
    assert newest.feed is None


def test_an_opening_that_hangs_is_waited_for_no_longer_than_asked() -> None:
    go = threading.Event()
    newest = Newest(lambda: go.wait() and HandFeed(), lose=lambda _: None, name="grab:slow")  # type: ignore[arg-type,return-value]
    assert newest.opened(0.01) is None
    newest.close(0.01)
    assert newest.is_alive
    go.set()
    wait_for(lambda: not newest.is_alive)


def test_close_returns_in_time_though_the_driver_hangs(feed: HandFeed) -> None:
    camera = LiveCamera("cam", lambda: feed)
    wait_for(lambda: feed.taken == 1)
    start = time.monotonic()
    camera.close()
    assert time.monotonic() - start < CLOSE_S + 1
    assert camera.health.threads == 1
    feed.let_go()
    wait_for(lambda: camera.health.threads == 0)


def test_a_picture_that_comes_after_close_is_dropped(
    newest: Newest, feed: HandFeed, losses: Counter[str]
) -> None:
    newest.close(0)
    feed.hand(shot(1))
    wait_for(lambda: not newest.is_alive)
    assert newest.get(0) is None
    assert not losses


class OneShot(HandFeed):
    """Gives one picture, then ends."""

    def take(self) -> Picture | None:
        self.taken += 1
        if self.taken > 1:
            raise CameraError("ended")
        return shot(1)


def test_two_hundred_breaks_leave_no_thread_and_no_feed() -> None:
    feeds: list[OneShot] = []

    def open_feed() -> Feed:
        feeds.append(OneShot())
        return feeds[-1]

    before = threading.active_count()
    camera = LiveCamera("cam", open_feed, patience=Patience(retry_s=0.001))
    wait_for(lambda: camera.read(0.1) is not None and camera.health.reconnects >= 200)
    assert threading.active_count() <= before + 2
    camera.close()
    wait_for(lambda: threading.active_count() == before)
    assert all(feed.closed.is_set() for feed in feeds)
