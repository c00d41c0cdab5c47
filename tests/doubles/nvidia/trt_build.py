"""TensorRT's double: parser, network, configuration and builder."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import Any

from tests.doubles.nvidia.device import DEVICE
from tests.doubles.nvidia.trt_base import MAGIC, HostMemory, ILogger, Shape, error, session_of

TIMING = b"timing cache of the double"


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Shape, Shape, Shape]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        low, mid, high = tuple(min), tuple(opt), tuple(max)
        if not all(a <= b <= c for a, b, c in zip(low, mid, high, strict=True)):
            raise ValueError(f"Shape provided for {input} is inconsistent with other shapes")
        self.shapes[input] = low, mid, high


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content if content.startswith(TIMING) else b""

    def serialize(self) -> HostMemory:
        return HostMemory(self.content or TIMING)


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.limits: dict[str, int] = {}
        self.profiles: list[IOptimizationProfile] = []
        self._timing: ITimingCache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.limits[pool.name] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self._timing = cache
        return ignore_mismatch or not cache.content

    def get_timing_cache(self) -> ITimingCache | None:
        return self._timing

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class INetworkDefinition:
    def __init__(self, trt: Any, flags: int) -> None:
        self._trt = trt
        self.has_batch = flags == 1 or not trt.__version__.startswith("8.")
        self.content = b""

    @property
    def num_layers(self) -> int:
        return 1 + self.content.count(b"QuantizeLinear")

    def get_layer(self, index: int) -> Any:
        kinds = self._trt.LayerType
        return SimpleNamespace(type=kinds.QUANTIZE if index else kinds.CONVOLUTION)


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[str] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: self._errors[index])

    def parse(self, model: bytes, path: str | None = None) -> bool:
        del path
        try:
            session_of(model)
        except Exception as wrong:  # noqa: BLE001  ONNX Runtime's have no base class
            self._errors.append(f"In node -1 (parseGraph): {wrong}")
        if not self._network.has_batch:
            self._errors.append(
                "This version of the ONNX parser only supports networks with an explicit batch"
            )
        self._network.content = model
        return not self._errors


class Builder:
    """Of TensorRT 11, which cannot be asked what the platform is fast at."""

    trt: Any

    def __init__(self, logger: ILogger) -> None:
        DEVICE.need_context("Builder()")
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(self.trt, flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> HostMemory | None:
        DEVICE.need_context("build_serialized_network")
        time.sleep(float(os.environ.get("TENSORRT_DOUBLE_SECONDS", "0")))
        if wrong := self._wrong(network, config):
            error(self._logger, wrong)
            return None
        head = {
            "version": self.trt.__version__,
            "capability": DEVICE.capability,
            "profiles": [p.shapes for p in config.profiles],
        }
        return HostMemory(MAGIC + json.dumps(head).encode() + b"\n" + network.content)

    def _wrong(self, network: INetworkDefinition, config: IBuilderConfig) -> str:
        session = session_of(network.content)
        free = {i.name for i in session.get_inputs() if any(isinstance(n, str) for n in i.shape)}
        if free and not config.profiles:
            return (
                "Network has dynamic or shape inputs, but no optimization profile has been defined."
            )
        for profile in config.profiles:
            if missing := free - profile.shapes.keys():
                return f"Dynamic input {sorted(missing)[0]} does not have dimensions in profile"
        has_flag = hasattr(self.trt.BuilderFlag, "INT8")
        if has_flag and network.num_layers > 1 and "INT8" not in config.flags:
            return "Networks with Q/DQ layers need the INT8 builder flag"
        if config.limits.get("WORKSPACE", 0) < 16 << 20:
            return "Error Code 2: OutOfMemory (Requested size was 16777216 bytes.)"
        return ""


class AskableBuilder(Builder):
    """Of TensorRT 8 to 10."""

    @property
    def platform_has_fast_int8(self) -> bool:
        return DEVICE.capability >= (6, 1)

    @property
    def platform_has_fast_fp16(self) -> bool:
        return DEVICE.capability >= (5, 3)
