from __future__ import annotations

import json

import numpy as np
import pytest

from edgesam_rt import backends, proof
from edgesam_rt.backends import BackendOptions
from edgesam_rt.backends.base import Outputs
from edgesam_rt.backends.onnxrt import OnnxRuntime
from edgesam_rt.backends.table import TABLE, BackendRow
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendMissing, ConfigError
from tests.bundle_doubles import Plain, edit_manifest, linked_copy


@pytest.fixture(scope="module")
def report(default_bundle: Bundle) -> proof.Report:
    return proof.prove(default_bundle, "onnxruntime")


def test_onnx_runtime_passes_with_the_bundle_that_ships(report: proof.Report) -> None:
    assert report["passed"]
    assert report["problems"] == []


def test_a_report_is_plain_json(report: proof.Report) -> None:
    assert json.loads(json.dumps(report)) == report


def test_every_side_is_tested_and_timed(report: proof.Report, default_bundle: Bundle) -> None:
    assert [s["side"] for s in report["sides"]] == list(default_bundle.sides("onnxruntime"))
    for side in report["sides"]:
        assert side["self_test"] is None
        for figures in side["frame_ms"].values():
            assert figures["n"] == proof.REPEATS
            assert 0 < figures["min"] <= figures["p50"]


def test_onnx_runtime_is_not_compared_with_itself(report: proof.Report) -> None:
    assert all("compared" not in side for side in report["sides"])


class Doubtful(OnnxRuntime):
    """ONNX Runtime under another name, with an encoder that adds noise."""

    name = "doubtful"
    noise = 0.0

    def _run(self, feeds: dict[str, object]) -> Outputs:  # type: ignore[override]
        made = super()._run(feeds)  # type: ignore[arg-type]
        if "pixels" in made and self.noise:
            rng = np.random.default_rng(0)
            for values in made.values():
                values += rng.normal(0, self.noise * values.std(), values.shape).astype(np.float32)
        return made


@pytest.fixture
def doubtful(
    default_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Bundle:
    """A bundle with engines for a backend that was written for this test."""
    row = BackendRow(__name__, "Doubtful", "onnxruntime", "pip install doubtful")
    monkeypatch.setitem(TABLE, "doubtful", row)
    folder = linked_copy(default_bundle, tmp_path_factory.mktemp("doubtful") / "bundle")

    def add(manifest: Plain) -> None:
        own = [e for e in manifest["engines"] if e["backend"] == "onnxruntime"]
        manifest["engines"] += [{**e, "backend": "doubtful"} for e in own]

    edit_manifest(folder, add)
    from edgesam_rt import bundle as bundles

    return bundles.load(folder)


def test_another_backend_is_compared_with_onnx_runtime(doubtful: Bundle) -> None:
    report = proof.prove(doubtful, "doubtful")
    assert report["passed"]
    for side in report["sides"]:
        assert side["compared"]["prompts"] == 10
        assert side["compared"]["mean_iou"] == 1.0
        assert min(side["compared"]["cosine"].values()) == pytest.approx(1)


def test_a_backend_with_other_answers_fails_with_the_figures(
    doubtful: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Doubtful, "noise", 1.0)
    report = proof.prove(doubtful, "doubtful")
    assert not report["passed"]
    assert any(
        "with onnxruntime's is" in text and "expected at least 0.9" in text
        for text in report["problems"]
    )


def test_a_backend_that_is_missing_is_a_problem_and_no_crash(
    doubtful: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise BackendMissing("doubtful: not here.")

    monkeypatch.setattr(backends, "prepare", missing)
    report = proof.prove(doubtful, "doubtful", BackendOptions(threads=1))
    assert not report["passed"]
    assert report["problems"] == ["doubtful: not here."]
    assert report["sides"] == []


def test_a_bundle_without_engines_for_it_is_a_problem(
    default_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = BackendRow(__name__, "Doubtful", "onnxruntime", "pip install doubtful")
    monkeypatch.setitem(TABLE, "doubtful", row)
    assert "has no encoder for doubtful" in proof.prove(default_bundle, "doubtful")["problems"][0]


def test_a_backend_of_no_table_is_refused(default_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'onnxruntime'"):
        proof.prove(default_bundle, "onnx-runtime")


def test_a_decoder_with_other_masks_fails_with_the_figure(
    doubtful: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Doubtful._run

    def upside_down(self: Doubtful, feeds: dict[str, object]) -> Outputs:
        made = honest(self, feeds)
        if "low_res_masks" in made:
            made["low_res_masks"] = -made["low_res_masks"]
        return made

    monkeypatch.setattr(Doubtful, "_run", upside_down)
    problems = proof.prove(doubtful, "doubtful")["problems"]
    assert any("mean mask IoU with onnxruntime is 0" in text for text in problems)
