"""What `list`, `inspect` and `build` say of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgesam_engines import bundle_lines, cli
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle, EngineFolder


def with_changes(bundle: Bundle, **changes: object) -> Bundle:
    return EngineFolder(bundle.folder, replace(bundle.manifest, **changes))


def test_a_line_has_what_one_chooses_by(default_bundle: Bundle) -> None:
    line = bundle_lines.row("mine", default_bundle)
    for words in ("mine", "0.3.1", "pocketsam", "int8", " MB", "onnxruntime 512/384", "Apache-2.0"):
        assert words in line
    assert len(line.splitlines()) == 1


def test_a_file_that_serves_two_backends_counts_once(default_bundle: Bundle) -> None:
    on_disk = sum(p.stat().st_size for p in default_bundle.folder.glob("*.*nx"))
    on_disk += sum(p.stat().st_size for p in default_bundle.folder.glob("*.tflite"))
    assert bundle_lines.summary(default_bundle)["size_bytes"] == on_disk


def test_inspect_tells_licence_files_precision_and_agreement(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["inspect", "pocketsam-int8"]) == 0
    told = capsys.readouterr().out
    manifest = bundles.find("pocketsam-int8").manifest
    assert manifest.licence in told
    assert manifest.origin in told
    for entry in manifest.engines:
        assert entry.file in told
    iou = manifest.verification["side_512"]["mean_iou"]
    assert f"onnxruntime at side 512: mean IoU with the float model in torch {iou}" in told
    assert "tensorrt (simulated) at side 512" in told
    assert "litert at side 512: mean IoU with onnxruntime" in told


def test_half_precision_is_tensorrts_alone(default_bundle: Bundle) -> None:
    found = with_changes(default_bundle, precision="fp16")
    computes = {
        (e.part, e.backend): bundle_lines.precision_of(found, e) for e in found.manifest.engines
    }
    assert computes["encoder", "tensorrt"] == "fp16"
    assert computes["encoder", "onnxruntime"] == "fp32"
    assert computes["scorer", "tensorrt"] == "fp32"


def test_figures_by_kind_of_prompt_and_a_failed_self_test_are_told(default_bundle: Bundle) -> None:
    side = {
        "mean_iou": 0.9,
        "prompts": 15,
        "photos": 3,
        "by_point": {"mean_iou": 0.8},
        "by_box": {"mean_iou": 0.95},
    }
    report = {
        "backend": "onnxruntime",
        "compared_with": "the float model in torch",
        "side_1024": side,
        "tensorrt": {"side_1024": side, "self_test": "cosine 0.5"},
        "fp16": {"cosine": {"image_embeddings": 0.998}},
    }
    told = "\n".join(bundle_lines.lines(with_changes(default_bundle, verification=report)))
    assert "0.9 (by point 0.8, by box 0.95) over 15 prompts on 3 photos" in told
    assert "tensorrt: cosine 0.5" in told
    assert "fp16: cosine with the float embedding 0.998" in told


def test_the_list_as_json_has_the_same_and_no_bundle_that_is_still_being_made(
    tmp_path: Path,
    default_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("mine", ".other.building"):
        (tmp_path / name).symlink_to(default_bundle.folder)
    monkeypatch.setenv("EDGESAM_BUNDLES", str(tmp_path))
    assert cli.main(["list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert ".other.building" not in told
    assert told["mine"]["sides"]["onnxruntime"] == [512, 384]
    assert told["mine"]["licence"] == default_bundle.manifest.licence
