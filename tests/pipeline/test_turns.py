"""When the encoder may begin, told by a clock that stands still unless the test moves it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edgesam_rt.pipeline.turns import Turns
from tests.camera_doubles import ManualClock

STANDS_S = 0.12  # more than twice the time after which a waiting encoder looks again
SOON_S = 5.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def turns(stop: threading.Event, clock: ManualClock) -> Turns:
    return Turns(stop, clock)


@contextmanager
def waiting(wait: Callable[[], None], stop: threading.Event) -> Iterator[threading.Thread]:
    """Another thread waits; it is stopped at the end."""
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def ends(thread: threading.Thread, within_s: float) -> bool:
    thread.join(within_s)
    return not thread.is_alive()


def test_nobody_waits_for_an_idle_decoder(turns: Turns) -> None:
    turns.wait_for_answer()
    turns.wait_for_need(40, 20)


def test_a_slow_decoder_gets_its_embedding_just_in_time(
    turns: Turns, stop: threading.Event, clock: ManualClock
) -> None:
    turns.given()
    turns.begun()
    with waiting(lambda: turns.wait_for_need(decode_ms=400, encode_ms=200), stop) as thread:
        clock.advance(0.199)
        assert not ends(thread, STANDS_S)
        clock.advance(0.002)
        assert ends(thread, SOON_S)


def test_a_quick_decoder_is_not_waited_for(turns: Turns) -> None:
    turns.given()
    turns.begun()
    turns.wait_for_need(decode_ms=10, encode_ms=20)


def test_while_an_embedding_lies_there_none_is_made(turns: Turns, stop: threading.Event) -> None:
    turns.given()
    turns.begun()
    turns.given()
    with waiting(lambda: turns.wait_for_need(decode_ms=10, encode_ms=20), stop) as thread:
        assert not ends(thread, STANDS_S)
        turns.finished()
        turns.begun()
        assert ends(thread, SOON_S)


def test_a_decoder_that_is_quicker_than_usual_ends_the_wait(
    turns: Turns, stop: threading.Event
) -> None:
    turns.given()
    turns.begun()
    with waiting(lambda: turns.wait_for_need(decode_ms=10_000, encode_ms=20), stop) as thread:
        assert not ends(thread, STANDS_S)
        turns.finished()
        assert ends(thread, SOON_S)


def test_an_answer_is_enough_where_the_rest_needs_no_engine(
    turns: Turns, stop: threading.Event
) -> None:
    turns.given()
    with waiting(turns.wait_for_answer, stop) as thread:
        turns.begun()
        assert not ends(thread, STANDS_S)
        turns.answered()
        assert ends(thread, SOON_S)


@pytest.mark.parametrize("wait", [Turns.wait_for_answer, lambda t: t.wait_for_need(10, 20)])
def test_the_end_of_the_run_ends_every_wait(
    wait: Callable[[Turns], None], turns: Turns, stop: threading.Event
) -> None:
    turns.given()
    with waiting(lambda: wait(turns), stop) as thread:
        assert not ends(thread, STANDS_S)
        stop.set()
        assert ends(thread, SOON_S)
