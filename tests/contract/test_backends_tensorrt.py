"""The TensorRT backend keeps the contract, on doubles of three generations of the library.

No GPU was met: the doubles check how the library is called, and compute by ONNX Runtime.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgesam_rt import bundle as bundles
from edgesam_rt.backends import Backend, BackendOptions, open_engine, prepare
from edgesam_rt.backends.tensorrt.setup import find_plan
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendError, EngineLoadError, ShapeError
from edgesam_rt.manifest import EngineFile
from tests.contract import test_backends as onnx_runtime
from tests.contract.backend_contract import BackendContract
from tests.doubles.nvidia.device import DEVICE
from tests.doubles.nvidia.install import GENERATIONS, installed, with_tensorrt

SIDE = 384


@pytest.fixture(scope="module", params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> str:
    """A version of the library."""
    version: str = request.param
    return version


@pytest.fixture(scope="module")
def built(
    generation: str, default_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundle]:
    """A bundle whose plans were built."""
    root = tmp_path_factory.mktemp(f"tensorrt-{generation}")
    with pytest.MonkeyPatch.context() as patch, installed(generation):
        patch.setenv("EDGESAM_CACHE", str(root / "cache"))
        bundle = bundles.load(with_tensorrt(default_bundle, root / "bundle"))
        prepare(bundle, "tensorrt")
        yield bundle


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_gpu(built: Bundle) -> Iterator[None]:
    yield
    assert DEVICE.left_over() == []


class TensorRtContract(BackendContract):
    @pytest.fixture
    def path(self, built: Bundle, entry: EngineFile) -> Path:
        return find_plan(built, entry).path

    kind = "tensorrt"


class TestTensorRtEncoder(TensorRtContract):
    @pytest.fixture
    def entry(self, built: Bundle) -> EngineFile:
        return built.engine("encoder", "tensorrt", SIDE)

    def test_a_run_in_another_thread_is_refused(self, backend: Backend, entry: EngineFile) -> None:
        caught: list[BaseException] = []

        def work() -> None:
            try:
                backend.run(self.feeds(entry))
            except BackendError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "opened by another thread" in str(caught[0])

    def test_memory_that_runs_out_is_answered_with_what_to_do(
        self, entry: EngineFile, path: Path
    ) -> None:
        DEVICE.memory_bytes = 1 << 20
        try:
            with pytest.raises(EngineLoadError, match=r"out of memory.*Stop what else uses"):
                self.open(path, entry.inputs, entry.outputs, BackendOptions())
        finally:
            DEVICE.memory_bytes = 4 << 30


class TestTensorRtScorer(TensorRtContract):
    free = onnx_runtime.TestOnnxRuntimeScorer.free
    shared = onnx_runtime.TestOnnxRuntimeScorer.shared

    @pytest.fixture
    def entry(self, built: Bundle) -> EngineFile:
        return built.engine("scorer", "tensorrt", SIDE)

    @pytest.mark.parametrize("prompts", [1, 2, 16, 17, 33, 256])
    def test_any_number_of_prompts_up_to_a_call_of_everything_mode_is_taken(
        self, backend: Backend, entry: EngineFile, prompts: int
    ) -> None:
        outputs = backend.run(self.feeds(entry, prompts=prompts))
        assert {len(array) for array in outputs.values()} == {prompts}

    def test_more_prompts_than_the_plan_takes_are_answered_with_how_many_it_takes(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        with pytest.raises(ShapeError, match=r"the plan takes shapes .*256"):
            backend.run(self.feeds(entry, prompts=257))


class TestTensorRtMaskHead(TensorRtContract):
    free = onnx_runtime.TestOnnxRuntimeMaskHead.free
    shared = onnx_runtime.TestOnnxRuntimeMaskHead.shared

    @pytest.fixture
    def entry(self, built: Bundle) -> EngineFile:
        return built.engine("mask_head", "tensorrt", SIDE)


def test_the_bundles_engines_give_onnx_runtimes_bits(built: Bundle) -> None:
    for part in ("encoder", "scorer", "mask_head"):
        contract = {"scorer": TestTensorRtScorer(), "mask_head": TestTensorRtMaskHead()}
        feeds = contract.get(part, TestTensorRtEncoder()).feeds(
            built.engine(part, "tensorrt", SIDE)
        )
        outputs = []
        for backend in ("tensorrt", "onnxruntime"):
            opened = open_engine(built, part, backend, SIDE, BackendOptions())
            outputs.append(opened.run(feeds))
            opened.close()
        for name, array in outputs[0].items():
            assert np.array_equal(array, outputs[1][name]), name
