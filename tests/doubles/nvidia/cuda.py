"""Stands for `pycuda.driver`: the calls this project makes, with its names and its rules.

Its rules were read from pycuda's sources: `Context.pop` pops whatever is current, objects belong to
the context that was current when they were made, and a context that is left current at the end of
a thread aborts the process.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tests.doubles.nvidia.device import DEVICE, QUEUES, RUBBISH, Misuse, Queue

_HANDLES = itertools.count(0x5000, 0x10)


class Error(Exception):
    """As pycuda's: base of all it raises."""


class MemoryError(Error):
    """There is not enough device memory."""


class LogicError(Error):
    """A call that makes no sense where it was made."""


class RuntimeError(Error):
    """Something failed at run time."""


def init(flags: int = 0) -> None:
    """Find the driver."""
    del flags
    DEVICE.is_initialised = True


class Device:
    """A GPU."""

    def __init__(self, number: int) -> None:
        if not DEVICE.is_initialised:
            raise Misuse("Device before init()")
        if number:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")

    def name(self) -> str:
        return DEVICE.name

    def compute_capability(self) -> tuple[int, int]:
        return DEVICE.capability

    def retain_primary_context(self) -> Context:
        DEVICE.retained += 1
        return Context()


class Context:
    """A context; `pop` is static, as pycuda's."""

    def __init__(self) -> None:
        self._valid = True

    def push(self) -> None:
        if not self._valid:
            raise Misuse("push of a detached context")
        DEVICE.stack.append(self)

    @staticmethod
    def pop() -> None:
        if not DEVICE.stack:
            raise LogicError("context::pop failed: invalid device context - cannot pop")
        DEVICE.stack.pop()

    def detach(self) -> None:
        if not self._valid:
            raise LogicError("context::detach failed: cannot detach from invalid context")
        if self in DEVICE.stack:
            raise Misuse("detach of a context that is still current")
        self._valid = False
        DEVICE.retained -= 1


class Stream:
    """A queue of work."""

    def __init__(self, flags: int = 0) -> None:
        del flags
        DEVICE.need_context("Stream()")
        self.handle = next(_HANDLES)
        QUEUES[self.handle] = Queue()
        DEVICE.streams.add(self.handle)

    def synchronize(self) -> None:
        DEVICE.need_context("Stream.synchronize")
        QUEUES[self.handle].wait()

    def __del__(self) -> None:
        DEVICE.streams.discard(self.handle)
        DEVICE.destroy("stream")


class DeviceAllocation:
    """Device memory."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        DEVICE.need_context("DeviceAllocation.free")
        if self._address not in DEVICE.allocations:
            raise Misuse(f"memory at {self._address:#x} is freed twice")
        del DEVICE.allocations[self._address]


def mem_alloc(size: int) -> DeviceAllocation:
    DEVICE.need_context("mem_alloc")
    if size < 1:
        raise LogicError("cuMemAlloc failed: invalid argument")
    if DEVICE.used_bytes() + size > DEVICE.memory_bytes:
        raise MemoryError("cuMemAlloc failed: out of memory")
    return DeviceAllocation(DEVICE.allocate(size))


class PagelockedHostAllocation:
    """What page-locked arrays have as their base."""

    def __init__(self, array: np.ndarray[Any, Any], typed: np.ndarray[Any, Any]) -> None:
        self._array = array
        self.__array_interface__ = typed.__array_interface__

    def free(self) -> None:
        DEVICE.need_context("PagelockedHostAllocation.free")
        left = [a for a in DEVICE.page_locked if a is not self._array]
        if len(left) == len(DEVICE.page_locked):
            raise Misuse("page-locked memory is freed twice")
        DEVICE.page_locked[:] = left
        self._array[...] = RUBBISH


def pagelocked_empty(
    shape: int | tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0
) -> np.ndarray[Any, Any]:
    del order, mem_flags
    DEVICE.need_context("pagelocked_empty")
    raw = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, RUBBISH, np.uint8)
    DEVICE.page_locked.append(raw)
    return np.asarray(PagelockedHostAllocation(raw, raw.view(dtype).reshape(shape)))


def _check_page_locked(host: np.ndarray[Any, Any]) -> None:
    if not host.flags.c_contiguous:
        raise Misuse("an asynchronous copy of memory that is not contiguous")
    if not any(np.shares_memory(host, locked) for locked in DEVICE.page_locked):
        raise Misuse("an asynchronous copy of memory that is not page-locked (or was freed)")


def memcpy_htod_async(
    dest: DeviceAllocation, src: np.ndarray[Any, Any], stream: Stream | None = None
) -> None:
    DEVICE.need_context("memcpy_htod_async")
    _check_page_locked(src)
    assert stream is not None
    QUEUES[stream.handle].add(
        lambda: np.copyto(DEVICE.at(int(dest), src.nbytes), src.reshape(-1).view(np.uint8))
    )


def memcpy_dtoh_async(
    dest: np.ndarray[Any, Any], src: DeviceAllocation, stream: Stream | None = None
) -> None:
    DEVICE.need_context("memcpy_dtoh_async")
    _check_page_locked(dest)
    assert stream is not None
    flat = dest.reshape(-1).view(np.uint8)
    flat[...] = RUBBISH
    QUEUES[stream.handle].add(lambda: np.copyto(flat, DEVICE.at(int(src), flat.nbytes)))
