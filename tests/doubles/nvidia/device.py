"""A GPU that is not there: memory, streams and contexts that complain when they are misused.

Work queued on a stream is done when the stream is synchronized, and not before; until then the
host's side of a copy holds rubbish. So a missing `synchronize` shows as wrong numbers, as it would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

RUBBISH = 0xAB
_FIRST_ADDRESS = 0x7F0000000000
_ALIGNMENT = 256


class Misuse(AssertionError):
    """Something that crashes, hangs or gives wrong numbers on a real GPU."""


class Device:
    """What the process has of the GPU.

    Attributes:
        memory_bytes: how much can be allocated on it.
        capability: compute capability.
        name: as the driver says it.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Like new; for all who hold it."""
        self.memory_bytes = 4 << 30
        self.capability = (8, 7)
        self.name = "Orin"
        self.is_initialised = False
        self.allocations: dict[int, np.ndarray[Any, Any]] = {}
        self.page_locked: list[np.ndarray[Any, Any]] = []
        self.retained = 0
        self.streams: set[int] = set()
        self.mishaps: list[str] = []
        self._next = _FIRST_ADDRESS
        self._stacks = threading.local()

    @property
    def stack(self) -> list[object]:
        """Contexts of this thread; the last is current."""
        if not hasattr(self._stacks, "contexts"):
            self._stacks.contexts = []
        found: list[object] = self._stacks.contexts
        return found

    def need_context(self, what: str) -> None:
        """Complain if no context is current in this thread."""
        if not self.stack:
            raise Misuse(
                f"{what}: no context is current in thread {threading.current_thread().name}"
            )

    def destroy(self, what: str) -> None:
        """Note an object that goes while no context is current: it leaks, or worse."""
        if not self.stack:
            self.mishaps.append(f"{what} destroyed without a context")

    def allocate(self, size: int) -> int:
        """Memory full of rubbish; its address."""
        address, self._next = self._next, self._next + -(-size // _ALIGNMENT) * _ALIGNMENT
        self.allocations[address] = np.full(size, RUBBISH, np.uint8)
        return address

    def used_bytes(self) -> int:
        """Allocated now."""
        return sum(a.nbytes for a in self.allocations.values())

    def at(self, address: int, size: int) -> np.ndarray[Any, Any]:
        """`size` bytes of memory that is still allocated."""
        if address not in self.allocations:
            raise Misuse(f"address {address:#x} is not allocated (freed, or never was)")
        if size > self.allocations[address].nbytes:
            raise Misuse(
                f"{size} bytes at {address:#x}, allocated {self.allocations[address].nbytes}"
            )
        return self.allocations[address][:size]

    def left_over(self) -> list[str]:
        """What was not given back."""
        found = [f"device memory {a:#x}" for a in self.allocations]
        found += [f"{a.nbytes} page-locked bytes" for a in self.page_locked]
        found += [f"stream {s}" for s in self.streams]
        found += self.mishaps
        found += [f"{self.retained} retained contexts"] if self.retained else []
        return found + ([f"{len(self.stack)} contexts still current"] if self.stack else [])


DEVICE = Device()


class Queue:
    """What a stream does, in its order, when it is waited for."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def add(self, work: Callable[[], None]) -> None:
        """Do it later."""
        self._waiting.append(work)

    def wait(self) -> None:
        """Do all of it now."""
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            work()


QUEUES: dict[int, Queue] = {}
