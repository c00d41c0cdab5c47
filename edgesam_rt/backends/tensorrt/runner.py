"""An opened plan, and one optimisation profile of it ready to run: execution context, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesam_rt.backends.tensorrt.memory import Buffer, Shape, allocate
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.errors import BackendError, EngineLoadError
from edgesam_rt.manifest import TensorSpec
from edgesam_rt.types import AnyArray

Bounds = Mapping[str, tuple[Shape, Shape]]  # by input: least and most


@dataclass
class Opened:
    """The library's objects of one plan, held here alone.

    They must go while the GPU's context is current. So nobody keeps one of them in a variable: an
    error that is on its way keeps all variables alive, and would give them back much later.
    """

    vendor: Vendor
    runtime: Any = None
    engine: Any = None
    stream: Any = None

    def close(self) -> None:
        """Let them go, what was made by another first."""
        self.stream = None
        self.engine = None
        self.runtime = None


def bounds_of(opened: Opened, inputs: Sequence[str], index: int) -> dict[str, tuple[Shape, Shape]]:
    """The shapes that profile `index` of a plan takes."""
    found = {}
    for name in inputs:
        least = most = tuple(opened.engine.get_tensor_shape(name))
        if any(n < 0 for n in least):
            least, _, most = opened.engine.get_tensor_profile_shape(name, index)
        found[name] = tuple(least), tuple(most)
    return found


def fits(bounds: Bounds, shapes: Mapping[str, Shape]) -> bool:
    """Whether shapes lie within a profile."""
    return all(
        len(shape) == len(bounds[name][0])
        and all(low <= n <= high for low, high, n in zip(*bounds[name], shape, strict=True))
        for name, shape in shapes.items()
    )


class Runner:
    """An execution context at one profile. All calls with the GPU's context current.

    Raises:
        EngineLoadError: it cannot be made, for want of memory in most cases.
    """

    def __init__(
        self,
        opened: Opened,
        index: int,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
    ) -> None:
        self._opened, self._outputs = opened, outputs
        self._shapes: dict[str, Shape] = {}
        self._buffers: dict[str, Buffer] = {}
        self._context: Any = opened.engine.create_execution_context()
        try:
            if self._context is None:
                raise EngineLoadError(
                    f"tensorrt: no execution context could be made: {self._told()}. Stop what else "
                    "uses the GPU's memory."
                )
            self._choose(index)
            most = {n: high for n, (_, high) in bounds_of(opened, list(inputs), index).items()}
            self._set_shapes(most)
            sizes = {n: (s, inputs[n].dtype) for n, s in most.items()}
            sizes |= {n: (self._shape_of(n), spec.dtype) for n, spec in outputs.items()}
            self._buffers = allocate(opened.vendor, sizes)
            for name, buffer in self._buffers.items():
                self._context.set_tensor_address(name, buffer.address)
        except BaseException:
            self.close()
            raise

    def _choose(self, index: int) -> None:
        """Choose a profile; the first context has profile 0 already."""
        stream = self._opened.stream.handle
        if index and not self._context.set_optimization_profile_async(index, stream):
            raise EngineLoadError(f"tensorrt: profile {index} cannot be chosen: {self._told()}.")

    def run(self, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Copy in, compute, copy out, wait; the outputs are copies."""
        self._set_shapes({name: array.shape for name, array in feeds.items()})
        for name, array in feeds.items():
            self._buffers[name].put(array, self._opened.stream)
        if not self._context.execute_async_v3(self._opened.stream.handle):
            raise BackendError(f"tensorrt: the engine failed: {self._told()}.")
        fetched = {
            name: self._buffers[name].fetch(self._shape_of(name), self._opened.stream)
            for name in self._outputs
        }
        self._opened.stream.synchronize()
        return {name: np.array(array) for name, array in fetched.items()}

    def close(self) -> None:
        """Give back memory and context."""
        self._context = None
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers = {}

    def _told(self) -> str:
        return self._opened.vendor.take_errors() or "it did not say why"

    def _set_shapes(self, shapes: Mapping[str, Shape]) -> None:
        for name, shape in shapes.items():
            if self._shapes.get(name) != shape:
                if not self._context.set_input_shape(name, shape):
                    raise BackendError(
                        f"tensorrt: input {name!r} refused shape {shape}: {self._told()}."
                    )
                self._shapes[name] = shape

    def _shape_of(self, output: str) -> Shape:
        shape = tuple(self._context.get_tensor_shape(output))
        if any(n < 0 for n in shape):
            raise BackendError(
                f"tensorrt: output {output!r} has shape {shape}: its length depends on values, "
                "which this backend does not take."
            )
        return shape
