"""An ONNX file to a plan, on the GPU that will run it. Takes minutes, and all the GPU's memory."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesam_rt.backends.setup import Say
from edgesam_rt.backends.tensorrt import api
from edgesam_rt.backends.tensorrt.profiles import Profile
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.errors import ConfigError, EngineLoadError

WORKSPACE_VARIABLE = "EDGESAM_TENSORRT_WORKSPACE_MB"
WORKSPACE_MB = 1024
SAY_EVERY_S = 15.0
_MEMORY_WORDS = (
    "out of memory",
    "outofmemory",
    "cudamalloc",
    "insufficient memory",
    "memory allocat",
)


@dataclass(frozen=True)
class Order:
    """What to build.

    Attributes:
        onnx: the file.
        profiles: of its free axes.
        fp16: whether float parts may be computed in half precision.
        timing: an earlier timing cache, or b"".
    """

    onnx: Path
    profiles: Sequence[Profile]
    fp16: bool
    timing: bytes = b""


@dataclass(frozen=True)
class Built:
    """A finished plan.

    Attributes:
        content: serialized.
        flags: precisions that were allowed besides float32.
        timing: the timing cache, for the next build; b"" if there is none.
        seconds: that it took.
    """

    content: bytes
    flags: list[str]
    timing: bytes
    seconds: float


def build(vendor: Vendor, order: Order, say: Say) -> Built:
    """Build a plan; the caller has made the GPU's context current.

    Raises:
        EngineLoadError: TensorRT refuses the graph, lacks memory, or the GPU lacks int8.
        ConfigError: the workspace cap is no number.
    """
    trt, started = vendor.trt, time.monotonic()
    vendor.take_errors()
    limit_mb = workspace_mb()
    builder = trt.Builder(vendor.logger)
    network = api.new_network(trt, builder)
    _parse(vendor, network, order.onnx)
    int8 = api.has_quantized_layers(trt, network)
    if int8 and api.lacks_int8(builder):
        raise EngineLoadError(
            f"tensorrt: {order.onnx.name} is an INT8 graph and this GPU has no INT8. Use a float "
            "bundle (--bundle), or --backend onnxruntime."
        )
    config = builder.create_builder_config()
    api.limit_workspace(trt, config, limit_mb << 20)
    flags = api.allow_precisions(trt, builder, config, int8=int8, fp16=order.fp16)
    for profile in order.profiles:
        _add_profile(builder, config, profile)
    cache = config.create_timing_cache(order.timing)
    config.set_timing_cache(cache, True)  # True: one of another GPU or version is left out
    with _heartbeat(say, order.onnx.name):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _refused(vendor, order.onnx, limit_mb)
    timing = config.get_timing_cache()
    kept = bytes(timing.serialize()) if timing is not None else b""
    return Built(bytes(plan), flags, kept, round(time.monotonic() - started, 1))


def workspace_mb() -> int:
    """Cap on scratch memory, MiB.

    Raises:
        ConfigError: the variable is no whole number above 0.
    """
    text = os.environ.get(WORKSPACE_VARIABLE, str(WORKSPACE_MB))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{WORKSPACE_VARIABLE}: expected MiB as a whole number, got {text!r}.")
    return int(text)


def memory_error(what: str, told: str) -> EngineLoadError:
    """The error for a GPU, or a board that shares its memory with one, that has too little left."""
    return EngineLoadError(
        f"tensorrt: {what}: out of memory ({told}). Stop what else uses the GPU, turn the desktop "
        f"off, add swap for the build, or lower {WORKSPACE_VARIABLE} (MiB, now {workspace_mb()})."
    )


def _parse(vendor: Vendor, network: Any, onnx: Path) -> None:
    parser = vendor.trt.OnnxParser(network, vendor.logger)
    try:
        content = onnx.read_bytes()
    except OSError as error:
        raise EngineLoadError(f"tensorrt: cannot read {onnx}: {error.strerror}.") from error
    if not parser.parse(content):
        told = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise EngineLoadError(
            f"tensorrt {vendor.version}: cannot parse {onnx}: {told or vendor.take_errors()}. Use "
            "--backend onnxruntime, and report it with this message."
        )


def _add_profile(builder: Any, config: Any, shapes: Profile) -> None:
    profile = builder.create_optimization_profile()
    for name, (least, usual, most) in shapes.items():
        profile.set_shape(name, least, usual, most)
    config.add_optimization_profile(profile)


def _refused(vendor: Vendor, onnx: Path, limit_mb: int) -> EngineLoadError:
    told = vendor.take_errors()
    if any(word in told.lower() for word in _MEMORY_WORDS):
        return memory_error(f"building a plan from {onnx.name}", told)
    return EngineLoadError(
        f"tensorrt {vendor.version}: no plan could be built from {onnx} within {limit_mb} MiB of "
        f"workspace: {told or 'it did not say why'}. Use --backend onnxruntime, and report it."
    )


@contextlib.contextmanager
def _heartbeat(say: Say, name: str) -> Iterator[None]:
    """Say now and then that the builder still works: it says nothing itself for minutes."""
    done, started = threading.Event(), time.monotonic()

    def beat() -> None:
        while not done.wait(SAY_EVERY_S):
            say(f"tensorrt: {name}: still building, {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=beat, name="tensorrt-build", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
