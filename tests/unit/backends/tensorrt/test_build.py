from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt.backends.tensorrt import build as building
from edgesam_rt.backends.tensorrt.build import WORKSPACE_VARIABLE, Order, build
from edgesam_rt.backends.tensorrt.gpu import Gpu
from edgesam_rt.backends.tensorrt.profiles import profiles_of
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError, EngineLoadError
from tests.doubles.nvidia.device import DEVICE


def built(lib: Vendor, order: Order, say: list[str] | None = None) -> building.Built:
    """Build in the GPU's context, as `setup.prepare` does."""
    context = Gpu(lib).take_context()
    try:
        with context.current():
            return build(lib, order, (say if say is not None else []).append)
    finally:
        context.release()


def encoder(bundle: Bundle) -> Order:
    entry = bundle.engine("encoder", "tensorrt", 384)
    return Order(bundle.path(entry), [], fp16=True)


def test_a_quantized_graph_may_use_int8_and_fp16(lib: Vendor, tensorrt_bundle: Bundle) -> None:
    assert built(lib, encoder(tensorrt_bundle)).flags == ["INT8", "FP16"]


def test_a_float_graph_that_must_stay_so_gets_no_flag(lib: Vendor, tensorrt_bundle: Bundle) -> None:
    entry = tensorrt_bundle.engine("scorer", "tensorrt", 384)
    profiles = profiles_of(tensorrt_bundle, entry, "tensorrt")
    assert built(lib, Order(tensorrt_bundle.path(entry), profiles, fp16=False)).flags == []


def test_a_gpu_without_int8_is_answered_with_a_float_bundle(
    lib: Vendor, tensorrt_bundle: Bundle
) -> None:
    DEVICE.capability = (5, 3)
    with pytest.raises(EngineLoadError, match=r"no INT8. Use a float bundle"):
        built(lib, encoder(tensorrt_bundle))


def test_a_workspace_that_is_too_small_says_what_to_do(
    lib: Vendor, tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, "1")
    with pytest.raises(EngineLoadError, match=r"out of memory .*add swap.*now 1\)"):
        built(lib, encoder(tensorrt_bundle))


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "1.5"])
def test_a_workspace_that_is_no_number_is_refused(
    lib: Vendor, tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, text)
    with pytest.raises(ConfigError, match=rf"{WORKSPACE_VARIABLE}: expected MiB"):
        built(lib, encoder(tensorrt_bundle))


def test_a_file_that_is_no_graph_is_refused_with_the_parsers_words(
    lib: Vendor, tmp_path: Path
) -> None:
    (tmp_path / "none.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineLoadError, match=r"cannot parse .*none\.onnx: In node -1"):
        built(lib, Order(tmp_path / "none.onnx", [], fp16=False))


def test_a_long_build_says_that_it_still_works(
    lib: Vendor, tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "SAY_EVERY_S", 0.02)
    monkeypatch.setenv("TENSORRT_DOUBLE_SECONDS", "0.2")
    said: list[str] = []
    built(lib, encoder(tensorrt_bundle), said)
    assert "still building" in said[0]


def test_the_timing_cache_of_a_build_is_given_to_the_next(
    lib: Vendor, tensorrt_bundle: Bundle
) -> None:
    order = encoder(tensorrt_bundle)
    first = built(lib, order)
    assert first.timing
    again = Order(order.onnx, order.profiles, order.fp16, first.timing)
    assert built(lib, again).timing == first.timing
