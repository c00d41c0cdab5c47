"""The GPU: its facts, and its context, current for as long as a block lasts.

A CUDA context belongs to a thread while it is current there. The device's primary context is the
one TensorRT itself uses; it is taken when an engine is opened, and made current around every use,
so two engines of one thread do not get into each other's way, and nothing stays behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.errors import EngineLoadError

DEVICE = 0  # a Jetson has one


class Gpu:
    """The first GPU. Making one initialises CUDA and takes no context.

    Attributes:
        name: as the driver says it, such as "Orin".
        capability: compute capability, such as "8.7".

    Raises:
        EngineLoadError: there is none that can be used.
    """

    def __init__(self, vendor: Vendor) -> None:
        cuda = vendor.cuda
        self._errors = (cuda.Error, RuntimeError)  # an error of init is a plain RuntimeError
        try:
            cuda.init()
            self._device: Any = cuda.Device(DEVICE)
            self.name = str(self._device.name())
            self.capability = ".".join(str(n) for n in self._device.compute_capability())
        except self._errors as error:
            raise EngineLoadError(
                f"tensorrt: no GPU can be used: {error}. Check that the user is in the groups "
                "video and render and that the driver works; use --backend onnxruntime meanwhile."
            ) from error

    def take_context(self) -> Context:
        """The primary context, for the calling thread, until it is released.

        Raises:
            EngineLoadError: there is none to be had, for want of memory in most cases.
        """
        try:
            return Context(self._device.retain_primary_context())
        except self._errors as error:
            raise EngineLoadError(
                f"tensorrt: the GPU gives no context: {error}. Stop what else uses its memory."
            ) from error


class Context:
    """A retained primary context."""

    def __init__(self, retained: Any) -> None:
        self._retained = retained

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Current in this thread inside the block."""
        self._retained.push()
        try:
            yield
        finally:
            self._retained.pop()

    def release(self) -> None:
        """Give it back; all that was made in it must be gone."""
        self._retained.detach()
