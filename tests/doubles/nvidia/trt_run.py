"""TensorRT's double: runtime, engine and execution context."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from tests.doubles.nvidia.device import DEVICE, QUEUES, Misuse
from tests.doubles.nvidia.trt_base import MAGIC, ILogger, Shape, error, session_of

_KINDS = {
    "tensor(float)": ("FLOAT", np.float32),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(int64)": ("INT64", np.int64),
}


class Runtime:
    trt: Any

    def __init__(self, logger: ILogger) -> None:
        DEVICE.need_context("Runtime()")
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        DEVICE.need_context("deserialize_cuda_engine")
        try:
            head, content = serialized_engine.removeprefix(MAGIC).split(b"\n", 1)
            facts = json.loads(head)
            if facts["version"] != self.trt.__version__:
                raise ValueError(
                    "The engine plan file is not compatible with this version of TensorRT"
                )
            return ICudaEngine(self.trt, facts, session_of(content), self._logger)
        except Exception as wrong:  # noqa: BLE001  as above
            error(
                self._logger,
                f"IRuntime::deserializeCudaEngine: Error Code 1: Serialization ({wrong})",
            )
            return None


class ICudaEngine:
    def __init__(self, trt: Any, facts: dict[str, Any], session: Any, logger: ILogger) -> None:
        self._trt, self.session, self.logger = trt, session, logger
        self.inputs = {i.name: i for i in session.get_inputs()}
        self.outputs = {o.name: o for o in session.get_outputs()}
        self._profiles = facts["profiles"]
        self.contexts_at: list[int | None] = []

    def __del__(self) -> None:
        DEVICE.destroy("engine")

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._profiles))

    def _tensor(self, name: str) -> Any:
        return self.inputs.get(name) or self.outputs[name]

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._trt.TensorIOMode
        return modes.INPUT if name in self.inputs else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self._trt.DataType[_KINDS[self._tensor(name).type][0]]

    def get_tensor_shape(self, name: str) -> Shape:
        return tuple(n if isinstance(n, int) else -1 for n in self._tensor(name).shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Shape]:
        if name not in self.inputs or profile_index >= self.num_optimization_profiles:
            raise ValueError(f"no input {name} in profile {profile_index}")
        if not self._profiles or name not in self._profiles[profile_index]:
            return [self.get_tensor_shape(name)] * 3
        return [tuple(shape) for shape in self._profiles[profile_index][name]]

    def create_execution_context(self) -> IExecutionContext:
        DEVICE.need_context("create_execution_context")
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        # The first context gets profile 0; one that comes while it is taken has to choose.
        self._profile: int | None = None if 0 in engine.contexts_at else 0
        engine.contexts_at.append(self._profile)
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}

    def __del__(self) -> None:
        DEVICE.destroy("execution context")

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._stream(stream_handle)
        if profile_index in self._engine.contexts_at:
            error(
                self._engine.logger, f"Profile {profile_index} has been chosen for another context"
            )
            return False
        self._profile = profile_index
        self._shapes.clear()
        return profile_index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: Any) -> bool:
        if self._profile is None:
            raise Misuse("set_input_shape before an optimization profile was chosen")
        low, _, high = self._engine.get_tensor_profile_shape(name, self._profile)
        shape = tuple(shape)
        fits = len(shape) == len(low) and all(
            a <= n <= b for a, n, b in zip(low, shape, high, strict=True)
        )
        if not fits:
            error(
                self._engine.logger,
                f"Supplied shape {shape} of {name} does not fit {low} to {high}",
            )
            return False
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> Shape:
        if name in self._engine.inputs:
            return self._shapes.get(name, self._engine.get_tensor_shape(name))
        known: dict[Any, int] = {}
        for each, shape in self._shapes.items():
            known.update(zip(self._engine.inputs[each].shape, shape, strict=True))
        wanted = self._engine.outputs[name].shape
        return tuple(n if isinstance(n, int) else known.get(n, -1) for n in wanted)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._engine._tensor(name)
        DEVICE.at(memory, 1)
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        DEVICE.need_context("execute_async_v3")
        stream = self._stream(stream_handle)
        names = [*self._engine.inputs, *self._engine.outputs]
        if missing := [n for n in names if n not in self._addresses]:
            error(self._engine.logger, f"Address is not set for tensor {missing[0]}")
            return False
        if missing := [n for n in self._engine.inputs if n not in self._shapes]:
            error(
                self._engine.logger, f"Not all dynamic input dimensions were specified: {missing}"
            )
            return False
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        stream.add(lambda: self._compute(shapes, addresses))
        return True

    def _compute(self, shapes: dict[str, Shape], addresses: dict[str, int]) -> None:
        feeds = {}
        for name, shape in shapes.items():
            kind = np.dtype(_KINDS[self._engine.inputs[name].type][1])
            raw = DEVICE.at(addresses[name], math.prod(shape) * kind.itemsize)
            feeds[name] = raw.view(kind).reshape(shape)
        names = list(self._engine.outputs)
        for name, values in zip(names, self._engine.session.run(names, feeds), strict=True):
            if os.environ.get("TENSORRT_DOUBLE_BROKEN"):  # the known fault: one value everywhere
                values = np.full_like(values, 0.5)
            DEVICE.at(addresses[name], values.nbytes)[...] = (
                np.ascontiguousarray(values).reshape(-1).view(np.uint8)
            )

    def _stream(self, handle: int) -> Any:
        if handle not in DEVICE.streams:
            raise Misuse(f"stream {handle} is none, or was destroyed")
        return QUEUES[handle]
