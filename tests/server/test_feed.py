"""Coroutines wait for results that another thread makes; bytes are made once and not too often."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgesam_rt.server import workers
from edgesam_rt.server.feed import Feed
from edgesam_rt.server.problems import Problem
from edgesam_rt.server.renders import Kept
from edgesam_rt.server.workers import Workers
from edgesam_rt.service.hub import Hub
from tests.camera_doubles import ManualClock
from tests.result_doubles import make_result


def test_a_coroutine_is_woken_by_the_thread_that_makes_results() -> None:
    hub = Hub()

    async def follow() -> list[int]:
        async with Feed(hub).open() as follower:
            assert await follower.newer(None, 0.01) is None
            threading.Timer(0.05, lambda: hub.put(make_result(frame_id=7))).start()
            first = await follower.newer(None, 5)
            again = await follower.newer(7, 0.01)
            assert again is None
            hub.put(make_result(frame_id=8))
            hub.put(make_result(frame_id=9))
            newest = await follower.newer(7, 5)
        hub.put(make_result(frame_id=10))  # nobody listens any more
        assert first is not None
        assert newest is not None
        return [first.frame.frame_id, newest.frame.frame_id]

    assert asyncio.run(follow()) == [7, 9]


def test_bytes_are_made_anew_for_another_key_and_only_so_often() -> None:
    clock, made = ManualClock(), list[str]()
    kept = Kept(clock=clock)

    def make() -> bytes:
        made.append("x")
        return str(len(made)).encode()

    assert kept.get("jpeg", 1, make, every_s=1) == b"1"
    assert kept.get("jpeg", 1, make, every_s=1) == b"1"
    assert kept.entry("jpeg", 2, make, every_s=1) == (1, b"1")
    assert kept.get("json", 2, make, every_s=1) == b"2"
    clock.advance(1.5)
    assert kept.entry("jpeg", 3, make, every_s=1) == (3, b"3")


def test_only_so_many_jobs_wait_for_the_threads() -> None:
    async def crowd() -> list[object]:
        pool, may_end = Workers("test", threads=1, most=2), threading.Event()
        jobs = [asyncio.create_task(pool.run(may_end.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        may_end.set()
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        pool.close()
        return ended

    ended = asyncio.run(crowd())
    assert ended[:2] == [True, True]
    assert isinstance(ended[2], Problem)
    assert ended[2].status == 503


def test_the_servers_threads_let_the_pipelines_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(workers.os, "setpriority", lambda *what: asked.append(what))
    workers.step_back()
    assert asked == [(0, threading.get_native_id(), workers.NICE)]

    def forbidden(*_what: int) -> None:
        raise PermissionError

    monkeypatch.setattr(workers.os, "setpriority", forbidden)
    workers.step_back()  # a sandbox forbids it, and that is no error
