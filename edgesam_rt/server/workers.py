"""Threads for what would hold up the event loop: a few, and only so much may wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from edgesam_rt.server.problems import Problem

T = TypeVar("T")
NICE = 10


def step_back() -> None:
    """Let this thread run after the pipeline's where there are too few cores for all."""
    with contextlib.suppress(OSError, AttributeError):  # a sandbox may forbid it; Linux has it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Workers:
    """A few threads.

    Args:
        name: of the threads.
        threads: how many.
        most: jobs at a time, those that wait included.
    """

    def __init__(self, name: str, *, threads: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(threads, name, initializer=step_back)
        self._most, self._jobs = most, 0

    async def run(self, job: Callable[[], T]) -> T:
        """Run a job in one of the threads.

        Raises:
            Problem: too many wait already.
        """
        if self._jobs >= self._most:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many ask at once.", {"Retry-After": "1"}
            )
        self._jobs += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, job)
        finally:
            self._jobs -= 1

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
