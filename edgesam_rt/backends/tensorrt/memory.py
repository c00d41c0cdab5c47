"""Memory of one engine's tensors: on the device, and page-locked on the host; allocated once.

Copies from ordinary host memory would be made twice, and could not run beside other work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgesam_rt.backends.tensorrt.build import memory_error
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.types import AnyArray

Shape = tuple[int, ...]


class Buffer:
    """One tensor's memory, for shapes up to the one it was made for."""

    def __init__(self, vendor: Vendor, name: str, most: Shape, dtype: str) -> None:
        """Allocate.

        Raises:
            EngineLoadError: there is not enough memory.
        """
        self._cuda = vendor.cuda
        self._dtype = np.dtype(dtype)
        size = max(1, math.prod(most) * self._dtype.itemsize)
        self._host: Any = None
        self._device: Any = None
        try:
            self._host = vendor.cuda.pagelocked_empty(size, np.uint8)
            self._device = vendor.cuda.mem_alloc(size)
        except (vendor.cuda.MemoryError, MemoryError) as error:
            self.free()
            raise memory_error(f"{size >> 20} MiB for tensor {name!r}", str(error)) from error

    @property
    def address(self) -> int:
        """On the device."""
        return int(self._device)

    def put(self, values: AnyArray, stream: Any) -> None:
        """Send values to the device; they were copied when this returns."""
        host = self._view(values.shape)
        np.copyto(host, values)
        self._cuda.memcpy_htod_async(self._device, host, stream)

    def fetch(self, shape: Shape, stream: Any) -> AnyArray:
        """Ask for values; they are there when the stream was synchronized, until the next run."""
        host = self._view(shape)
        self._cuda.memcpy_dtoh_async(host, self._device, stream)
        return host

    def free(self) -> None:
        """Give both back."""
        if self._device is not None:
            self._device.free()
        if self._host is not None:
            self._host.base.free()
        self._device = self._host = None

    def _view(self, shape: Shape) -> AnyArray:
        size = math.prod(shape) * self._dtype.itemsize
        view: AnyArray = self._host[:size].view(self._dtype).reshape(shape)
        return view


def allocate(vendor: Vendor, tensors: Mapping[str, tuple[Shape, str]]) -> dict[str, Buffer]:
    """Buffers of several tensors, or of none.

    Args:
        vendor: whose memory.
        tensors: largest shape and numpy dtype of each.

    Raises:
        EngineLoadError: there is not enough memory.
    """
    made: dict[str, Buffer] = {}
    try:
        for name, (most, dtype) in tensors.items():
            made[name] = Buffer(vendor, name, most, dtype)
    except BaseException:
        for buffer in made.values():
            buffer.free()
        raise
    return made
