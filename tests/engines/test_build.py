"""Whole builds of a tiny bundle: one small encoder side, two calibration pictures made here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="builds need torch")

from msgspec.structs import replace

import edgesam_rt as es
from edgesam_engines import build, cli, recipe, verify
from edgesam_engines.errors import CalibrationError, VerificationError
from edgesam_engines.recipe import Acceptance, Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt import selftest
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError
from tests.bundle_doubles import load_all

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

SIDE = 128  # at 96 the model does not find the self-test's disc
CHECKPOINT = recipe.RECIPES / recipe.load("pocketsam-int8")[0].checkpoint


def tiny(precision: str = "int8", *, mean_iou: float = 0.5) -> Recipe:
    base, _ = recipe.load(f"pocketsam-{precision}")
    return replace(
        base,
        name=f"tiny-{precision}",
        sides=(SIDE,),
        calibration=replace(base.calibration, photos=2),
        acceptance=Acceptance(mean_iou=mean_iou),
        discovery=None,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The self-test's pictures and two shifted ones: two to calibrate on, two to check on."""
    folder = tmp_path_factory.mktemp("photos")
    for i, pixels in enumerate(selftest.pictures()):
        for j in range(2):
            name = folder / f"{2 * i + j}.png"
            cv2.imwrite(str(name), np.roll(pixels, 20 * j, 1)[..., ::-1])
    return folder


def make(wanted: Recipe, photos: Path | None, out: Path) -> Bundle:
    return build.run(build.Job(wanted, CHECKPOINT, photos, out), lambda step: None)


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tiny(), photos, tmp_path_factory.mktemp("out") / "tiny-int8")


@pytest.fixture(scope="module")
def made_in_float(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tiny("fp32"), None, tmp_path_factory.mktemp("out") / "tiny-fp32")


def write_recipe(folder: Path, precision: str, changes: dict[str, str]) -> Path:
    """A shipped recipe with some words changed and no discovery head, in a file of its own."""
    text = (recipe.RECIPES / f"pocketsam-{precision}.toml").read_text(encoding="utf-8")
    text = text.partition("[discovery]")[0]  # the last part; `make` builds none either
    changes = {"[512, 384]": f"[{SIDE}]", f"pocketsam-{precision}": f"tiny-{precision}"} | changes
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_builds_the_same_bundle_from_copies_elsewhere(
    made: Bundle, photos: Path, tmp_path: Path, seed: str
) -> None:
    shutil.copytree(photos, tmp_path / "elsewhere")
    shutil.copy(CHECKPOINT, tmp_path / "weights.safetensors")
    words = {"photos = 64": "photos = 2", "mean_iou = 0.85": "mean_iou = 0.5"}
    path = write_recipe(tmp_path, "int8", words)
    command = [sys.executable, "-m", "edgesam_engines.cli", "build", str(path), "--out", "again"]
    command += ["--checkpoint", "weights.safetensors", "--calibration", "elsewhere"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    again = bundles.load(tmp_path / "again")
    assert [e.sha256 for e in again.manifest.engines] == [e.sha256 for e in made.manifest.engines]
    assert again.manifest == made.manifest


def test_a_built_bundle_is_whole_and_passes_its_self_test(made: Bundle) -> None:
    load_all(made.folder)
    with es.open(made.folder, board="cpu", threads=1) as segmenter:
        assert segmenter.encoder_side == SIDE
        first, _ = selftest.pictures()
        found = segmenter.predict(segmenter.encode(first), es.Prompt.point(124.5, 112.5))
        assert found.masks.shape == (1, *selftest.PICTURE_HW)


def test_the_manifest_says_what_was_asked_for(made: Bundle) -> None:
    wanted, manifest = tiny(), made.manifest
    for key in ("name", "version", "family", "precision", "licence", "origin", "everything"):
        assert getattr(manifest, key) == getattr(wanted, key), key
    assert manifest.self_test.cases[0].side == SIDE
    assert manifest.verification[f"side_{SIDE}"]["mean_iou"] >= wanted.acceptance.mean_iou
    assert {"python", "torch", "onnx", "onnxruntime", "numpy"} <= manifest.made_with.keys()


def test_the_manifest_says_how_the_encoder_was_quantized(made: Bundle) -> None:
    facts = made.manifest.verification["quantization"][f"side_{SIDE}"]
    assert facts["estimator"] == tiny().calibration.estimator
    assert facts["bias_correction"] == tiny().quantization.bias_correction
    assert len(facts["layer_sqnr_db"]) > 50
    assert min(facts["layer_sqnr_db"].values()) > 10


def test_a_float_bundle_says_nothing_of_quantization(made_in_float: Bundle) -> None:
    assert "quantization" not in made_in_float.manifest.verification


def test_float_engines_answer_as_the_model_in_torch_does(made_in_float: Bundle) -> None:
    report = made_in_float.manifest.verification[f"side_{SIDE}"]
    assert report["mean_iou"] > 0.99
    assert min(report["cosine"].values()) > 0.9999


def test_integer_engines_are_smaller_than_float_ones(made: Bundle, made_in_float: Bundle) -> None:
    sizes = [b.engine("encoder", "onnxruntime", SIDE).size_bytes for b in (made, made_in_float)]
    assert sizes[0] < 0.4 * sizes[1]


def test_decoders_are_the_same_beside_either_encoder(made: Bundle, made_in_float: Bundle) -> None:
    for part in ("scorer", "mask_head"):
        hashes = {b.engine(part, "onnxruntime", SIDE).sha256 for b in (made, made_in_float)}
        assert len(hashes) == 1, part


def test_engines_under_the_recipes_target_are_not_packed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=rf"side_{SIDE}: mean IoU .* asks for 1"):
        make(tiny(mean_iou=1.0), photos, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_photos_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match="no pictures"):
        make(tiny(), tmp_path / "empty", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_an_integer_build_without_photos_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="calibration"):
        make(tiny(), None, tmp_path / "out")


def test_verify_gives_the_figures_of_the_build_again(made: Bundle, photos: Path) -> None:
    from edgesam_engines.families.table import open_family

    family = open_family("pocketsam")
    report = verify.against_float(
        made.folder, family, family.load(CHECKPOINT), verify.photos_for(photos, tiny())
    )
    recorded = {k: v for k, v in made.manifest.verification.items() if k != "quantization"}
    assert json.loads(json.dumps(report)) == recorded


# The command


def test_the_command_builds_and_prints_the_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_recipe(tmp_path, "fp32", {"mean_iou = 0.99": "mean_iou = 0.9"})
    arguments = ["build", str(own), "--checkpoint", str(CHECKPOINT), "--out", str(tmp_path / "b")]
    assert cli.main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["engines"][0]["side"] == SIDE
    assert f"encoder {SIDE}: export" in err
    assert bundles.load(tmp_path / "b").sides("onnxruntime") == (SIDE,)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "pocketsam-int9"], "Did you mean 'pocketsam-int8'"),
        (["build", "pocketsam-int8"], "--calibration DIR"),
        (["build", "pocketsam-fp32", "--checkpoint", "no.safetensors"], "no such file"),
        (["verify", "no-such-bundle"], "unknown bundle"),
        (["inspect", "no-such-bundle"], "unknown bundle"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []
