"""The double is a hard one: what crashes or lies on a GPU fails here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgesam_rt.backends.tensorrt.build import Order, build
from edgesam_rt.backends.tensorrt.gpu import Gpu
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.bundle import Bundle
from tests.doubles.nvidia.device import DEVICE, RUBBISH, Misuse

SIZE = 64


@pytest.fixture
def cuda(lib: Vendor) -> Iterator[Any]:
    """The driver, with a context current in this thread."""
    context = Gpu(lib).take_context()
    with context.current():
        yield lib.cuda
    context.release()


def test_a_copy_has_not_happened_before_the_stream_was_waited_for(cuda: Any) -> None:
    stream = cuda.Stream()
    host, device = cuda.pagelocked_empty(SIZE, np.uint8), cuda.mem_alloc(SIZE)
    host[...] = 7
    cuda.memcpy_htod_async(device, host, stream)
    back = cuda.pagelocked_empty(SIZE, np.uint8)
    cuda.memcpy_dtoh_async(back, device, stream)
    assert (back == RUBBISH).all()
    stream.synchronize()
    assert (back == 7).all()
    for memory in (device, host.base, back.base):
        memory.free()


def test_ordinary_memory_cannot_be_copied_in_the_background(cuda: Any) -> None:
    stream, device = cuda.Stream(), cuda.mem_alloc(SIZE)
    with pytest.raises(Misuse, match="not page-locked"):
        cuda.memcpy_htod_async(device, np.zeros(SIZE, np.uint8), stream)
    device.free()


def test_memory_is_neither_used_nor_freed_after_it_was_freed(cuda: Any) -> None:
    stream, device = cuda.Stream(), cuda.mem_alloc(SIZE)
    host = cuda.pagelocked_empty(SIZE, np.uint8)
    cuda.memcpy_htod_async(device, host, stream)
    device.free()
    with pytest.raises(Misuse, match="not allocated"):
        stream.synchronize()
    with pytest.raises(Misuse, match="freed twice"):
        device.free()
    host.base.free()


def test_a_context_is_current_in_its_own_thread_alone(cuda: Any) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            cuda.mem_alloc(SIZE)
        except Misuse as error:
            caught.append(error)

    thread = threading.Thread(target=work, name="other")
    thread.start()
    thread.join()
    assert "no context is current in thread other" in str(caught[0])


def test_what_goes_without_a_context_is_noted(lib: Vendor) -> None:
    context = Gpu(lib).take_context()
    with context.current():
        stream = lib.cuda.Stream()
    del stream
    context.release()
    assert DEVICE.left_over() == ["stream destroyed without a context"]
    DEVICE.mishaps.clear()


def test_an_engine_does_not_run_before_it_knows_where_its_tensors_are(
    lib: Vendor, cuda: Any, tensorrt_bundle: Bundle
) -> None:
    entry = tensorrt_bundle.engine("encoder", "tensorrt", 384)
    order = Order(tensorrt_bundle.path(entry), [], fp16=False)
    plan = build(lib, order, lambda _: None).content
    engine = lib.trt.Runtime(lib.logger).deserialize_cuda_engine(plan)
    context, stream = engine.create_execution_context(), cuda.Stream()
    assert not context.execute_async_v3(stream.handle)
    assert "Address is not set" in lib.take_errors()
    with pytest.raises(Misuse, match="not allocated"):
        context.set_tensor_address("pixels_u8", 1234)


def test_a_second_context_must_choose_a_profile_of_its_own(
    lib: Vendor, cuda: Any, tensorrt_bundle: Bundle
) -> None:
    entry = tensorrt_bundle.engine("encoder", "tensorrt", 384)
    order = Order(tensorrt_bundle.path(entry), [], fp16=False)
    plan = build(lib, order, lambda _: None).content
    engine = lib.trt.Runtime(lib.logger).deserialize_cuda_engine(plan)
    first, second = engine.create_execution_context(), engine.create_execution_context()
    assert first.set_input_shape("pixels_u8", (1, 384, 384, 3))
    with pytest.raises(Misuse, match="before an optimization profile was chosen"):
        second.set_input_shape("pixels_u8", (1, 384, 384, 3))
    assert cuda.Stream().handle
