"""A bundle's plans on a board: what runs while there are none, after a proof, after an update."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgesam_rt import backends, proof
from edgesam_rt import bundle as bundles
from edgesam_rt.api import Segmenter
from edgesam_rt.backends import BackendOptions, choose_with_reasons, open_engine
from edgesam_rt.backends.tensorrt import setup, vendor
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.bundle import Bundle
from edgesam_rt.engines import resolve
from edgesam_rt.errors import BackendMissing, EngineLoadError
from edgesam_rt.records import Prompt
from edgesam_rt.selftest import pictures
from tests.bundle_doubles import Plain, edit_manifest, linked_copy
from tests.doubles.nvidia.device import DEVICE
from tests.doubles.nvidia.install import installed

PREFERRED = ("tensorrt", "onnxruntime")
pytestmark = pytest.mark.usefixtures("lib")


def test_while_there_is_no_plan_onnx_runtime_runs_and_says_what_to_do(
    tensorrt_bundle: Bundle,
) -> None:
    choice = choose_with_reasons(tensorrt_bundle, PREFERRED)
    assert choice.name == "onnxruntime"
    assert "edgesam-engines build --board auto" in choice.passed_over["tensorrt"]


def test_who_asks_for_tensorrt_alone_is_told_how_to_build(tensorrt_bundle: Bundle) -> None:
    with pytest.raises(EngineLoadError, match=r"no plan .*edgesam-engines build --board auto"):
        choose_with_reasons(tensorrt_bundle, ("tensorrt",))


def test_another_bundle_than_the_boards_is_named_in_the_command(tensorrt_bundle: Bundle) -> None:
    told = setup.why_not(tensorrt_bundle)
    assert told is not None
    assert f"--bundle {tensorrt_bundle.folder}" in told


def test_plans_that_were_built_and_not_proved_are_not_used(tensorrt_bundle: Bundle) -> None:
    backends.prepare(tensorrt_bundle, "tensorrt")
    choice = choose_with_reasons(tensorrt_bundle, PREFERRED)
    assert choice.name == "onnxruntime"
    assert "is unproven" in choice.passed_over["tensorrt"]


def test_proved_plans_run_and_give_onnx_runtimes_masks(tensorrt_bundle: Bundle) -> None:
    report = proof.prove(tensorrt_bundle, "tensorrt")
    assert report["passed"], report["problems"]
    assert json.loads(json.dumps(report)) == report
    assert [side["compared"]["worst_iou"] for side in report["sides"]] == [1.0, 1.0]
    engines = resolve(board="jetson-orin-nano", bundle_name=tensorrt_bundle.folder)
    assert engines.options.backend == "tensorrt"
    assert engines.passed_over == {}
    segmenter = Segmenter(engines)
    embedding = segmenter.encode(pictures()[0])
    assert embedding.backend == "tensorrt"
    assert segmenter.predict(embedding, Prompt.point(124, 112)).areas[0] > 5000
    segmenter.close()


def test_a_plan_with_wrong_answers_is_set_aside_with_the_reason(
    tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORRT_DOUBLE_BROKEN", "1")
    report = proof.prove(tensorrt_bundle, "tensorrt")
    assert not report["passed"]
    assert report["sides"][0]["self_test"] is not None
    choice = choose_with_reasons(tensorrt_bundle, PREFERRED)
    assert choice.name == "onnxruntime"
    assert "set aside" in choice.passed_over["tensorrt"]
    assert "self-test failed" in choice.passed_over["tensorrt"]


def test_a_plan_that_was_set_aside_is_tried_again_when_it_is_rebuilt(
    tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends.prepare(tensorrt_bundle, "tensorrt")
    backends.judge(tensorrt_bundle, "tensorrt", ["masks differ"])
    monkeypatch.delenv("TENSORRT_DOUBLE_BROKEN", raising=False)
    assert proof.prove(tensorrt_bundle, "tensorrt", rebuild=True)["passed"]
    assert choose_with_reasons(tensorrt_bundle, PREFERRED).name == "tensorrt"


def test_after_an_update_of_tensorrt_new_plans_are_asked_for(tensorrt_bundle: Bundle) -> None:
    backends.prepare(tensorrt_bundle, "tensorrt")
    backends.judge(tensorrt_bundle, "tensorrt", [])
    assert choose_with_reasons(tensorrt_bundle, PREFERRED).name == "tensorrt"
    with installed("11.4.0"):
        choice = choose_with_reasons(tensorrt_bundle, PREFERRED)
        assert "is missing" in choice.passed_over["tensorrt"]


def test_on_another_gpu_new_plans_are_asked_for(tensorrt_bundle: Bundle) -> None:
    backends.prepare(tensorrt_bundle, "tensorrt")
    backends.judge(tensorrt_bundle, "tensorrt", [])
    DEVICE.name = "Xavier"
    assert choose_with_reasons(tensorrt_bundle, PREFERRED).name == "onnxruntime"


def test_a_damaged_plan_is_built_again(tensorrt_bundle: Bundle) -> None:
    backends.prepare(tensorrt_bundle, "tensorrt")
    _, plan = next(iter(setup.plans_of(tensorrt_bundle)))
    plan.path.write_bytes(b"half")
    assert "is damaged" in str(setup.why_not(tensorrt_bundle))
    said: list[str] = []
    backends.prepare(tensorrt_bundle, "tensorrt", said.append)
    assert sum("built in" in text for text in said) == 1
    assert plan.state() == "unproven"


def test_opening_without_a_plan_says_how_to_build_it(tensorrt_bundle: Bundle) -> None:
    with pytest.raises(EngineLoadError, match=r"encoder-384\.onnx is missing .*--board auto"):
        open_engine(tensorrt_bundle, "encoder", "tensorrt", 384, BackendOptions())


def test_parts_that_must_stay_float_may_not_use_fp16(tensorrt_bundle: Bundle) -> None:
    allowed = {
        e.part: setup.allows_fp16(tensorrt_bundle, e) for e, _ in setup.plans_of(tensorrt_bundle)
    }
    assert allowed["encoder"]
    assert not allowed["scorer"]
    assert not allowed["mask_head"]


def test_a_board_whose_gpu_is_busy_or_gone_runs_by_onnx_runtime(
    tensorrt_bundle: Bundle, lib: Vendor, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (cache / "tensorrt").mkdir(parents=True)

    def no_driver() -> None:
        raise lib.cuda.RuntimeError("cuInit failed: no CUDA-capable device is detected")

    monkeypatch.setattr(lib.cuda, "init", no_driver)
    choice = choose_with_reasons(tensorrt_bundle, PREFERRED)
    assert choice.name == "onnxruntime"
    assert "no GPU can be used: cuInit failed" in choice.passed_over["tensorrt"]


def test_without_pycuda_the_sentence_says_what_to_install(
    tensorrt_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.load.cache_clear()
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(BackendMissing, match=r"pycuda.*edgesam_rt\[tensorrt\]") as caught:
        backends.prepare(tensorrt_bundle, "tensorrt")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("detector", [None, "own"], ids=["detector", "discovery head"])
def test_what_finds_boxes_runs_by_onnx_runtime_where_it_has_no_plan(
    tensorrt_bundle: Bundle, detector: str | None, tmp_path: Path
) -> None:
    folder = linked_copy(tensorrt_bundle, tmp_path / "bundle")

    def without_discovery(manifest: Plain) -> None:
        rows = manifest["engines"]
        manifest["engines"] = [
            r for r in rows if (r["part"], r["backend"]) != ("discovery", "tensorrt")
        ]

    edit_manifest(folder, without_discovery)
    bundle = bundles.load(folder)
    backends.prepare(bundle, "tensorrt")
    backends.judge(bundle, "tensorrt", [])
    engines = resolve(board="jetson-orin-nano", bundle_name=folder, detector_name=detector)
    assert engines.options.backend == "tensorrt"
    encoder, finder = engines.open_encoder(384), engines.open_finder()
    picture, _ = pictures()
    assert len(finder.find(picture, encoder.encode(picture)).xyxy)
    finder.close()
    encoder.close()
