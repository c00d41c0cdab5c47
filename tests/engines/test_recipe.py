from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgesam_engines import recipe
from edgesam_rt import boards
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import Precision
from tests.packaging.fresh import run_fresh


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_loads_under_its_own_name(name: str) -> None:
    found, folder = recipe.load(name)
    assert found.name == name
    assert folder == recipe.RECIPES


OWN = [name for name in recipe.names() if recipe.load(name)[0].checkpoint is not None]


@pytest.mark.parametrize("name", OWN)
def test_every_recipe_of_our_own_has_its_checkpoint_in_the_repository(name: str) -> None:
    found, folder = recipe.load(name)
    checkpoint = recipe.checkpoint_of(found, folder, None)
    assert checkpoint.is_file()
    assert checkpoint.stat().st_size < 10e6


@pytest.mark.parametrize("name", recipe.names())
def test_every_side_can_be_halved_five_times(name: str) -> None:
    sides = recipe.load(name)[0].sides
    assert sides
    assert [side % 32 for side in sides] == [0] * len(sides)


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_says_under_which_terms_the_weights_are(name: str) -> None:
    found, _ = recipe.load(name)
    assert found.licence
    assert found.origin


def test_the_bundle_that_ships_is_that_of_its_recipe() -> None:
    found, _ = recipe.load(bundles.DEFAULT)
    manifest = bundles.find(None).manifest
    for key in ("name", "version", "family", "precision", "licence", "origin", "everything"):
        assert getattr(manifest, key) == getattr(found, key), key
    assert tuple(found.sides) == bundles.find(None).sides("onnxruntime")


def test_the_bundle_that_ships_reached_what_its_recipe_asks_for() -> None:
    found, _ = recipe.load(bundles.DEFAULT)
    report = bundles.find(None).manifest.verification
    sides = [v for k, v in report.items() if k.startswith("side_")]
    assert len(sides) == len(found.sides)
    assert min(side["mean_iou"] for side in sides) >= found.acceptance.mean_iou


def test_every_boards_bundle_has_a_recipe() -> None:
    assert {boards.load(name).bundle for name in boards.names()} <= set(recipe.names())


def test_an_unknown_recipe_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"Did you mean 'pocketsam-int8'\? Known: .*pocketsam-fp32"
    ):
        recipe.load("pocketsam-int9")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml: no such file"):
        recipe.load(str(tmp_path / "mine.toml"))


def plain() -> str:
    """The recipe that ships, quantized in the plainest way."""
    text = (recipe.RECIPES / "pocketsam-int8.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[quantization\][^\[]*(\[\][^\[]*)*", "", text)
    section = '[calibration]\nphotos = 64\nestimator = "minmax"\n\n'
    return re.sub(r"\[calibration\][^\[]*", section, text)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = plain()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_recipe_of_ones_own_is_read_with_its_folder(tmp_path: Path) -> None:
    found, folder = recipe.load(str(changed(tmp_path, "[512, 384]", "[256]")))
    assert found.sides == (256,)
    assert folder == tmp_path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("sides =", "side =", "Did you mean 'sides'"),
        ("estimator =", "estimater =", "Did you mean 'estimator'"),
        ('"minmax"', '"kurtosis"', "estimator"),
        ('"minmax"', '"minmax"\npercentile = 99.9', 'percentile: belongs to .*"percentile"'),
        ('"minmax"', '"percentile"\npercentile = 12.0', "percentile"),
        ('"minmax"', '"moving_average"\nmomentum = 1.0', "momentum"),
        ("[acceptance]", '[quantization]\nequalise = "relu6"\n[acceptance]', "equalise"),
        ("[acceptance]", "[quantization]\nfloat_target = 1.5\n[acceptance]", "float_target"),
        ("[acceptance]", "[quantization]\nbias = true\n[acceptance]", "bias_correction"),
        ('precision = "int8"', 'precision = "int4"', "precision"),
        ("[512, 384]", "[0]", "sides"),
        ("[512, 384]", '["512"]', "sides"),
        ("[512, 384]", "[]", "sides"),
        ("[512, 384]", "[512, 512]", "sides"),
        ("mean_iou = 0.85", "mean_iou = 85", "mean_iou"),
        ("photos = 64", "photos = 0", "photos"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_by_name_before_anything_is_built(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        recipe.load(str(changed(tmp_path, old, new)))


def test_every_estimator_and_everything_beside_it_can_be_asked_for(tmp_path: Path) -> None:
    text = """[quantization]
bias_correction = true
equalise = "exact"
float_layers = ["/stem/Conv"]
float_target = 0.99
most_float = 3
[acceptance]"""
    found, _ = recipe.load(str(changed(tmp_path, "[acceptance]", text)))
    assert found.quantization == recipe.Quantization(
        bias_correction=True,
        equalise="exact",
        float_layers=("/stem/Conv",),
        float_target=0.99,
        most_float=3,
    )


def test_a_percentile_has_a_default_where_it_is_used() -> None:
    assert recipe.Calibration(estimator="percentile").percentile_or_default == 99.99


def test_a_precision_that_nothing_builds_is_refused(tmp_path: Path) -> None:
    """The build knows int8 and float; it would call a float engine fp16."""
    with pytest.raises(ConfigError, match="fp16"):
        recipe.load(str(changed(tmp_path, 'precision = "int8"', 'precision = "fp16"')))


def test_recipes_can_be_read_without_torch_and_onnx() -> None:
    code = (
        "from edgesam_engines import recipe\nprint(*recipe.names(), recipe.load('pocketsam-int8'))"
    )
    assert "pocketsam-int8" in run_fresh(code, blocked=("torch", "onnx", "onnxruntime"))


# Families


@pytest.mark.parametrize("precision", ["int8", "fp16", "fp32"])
def test_a_familys_recipe_is_read_for_any_precision_that_can_be_built(
    precision: Precision,
) -> None:
    found, _ = recipe.of_family("edgesam", precision)
    assert (found.name, found.precision) == (f"edgesam-{precision}", precision)


def test_half_precision_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="half precision makes wrong embeddings"):
        recipe.of_family("mobilesam", "fp16")


def test_a_bundle_is_judged_by_the_recipe_of_its_name_or_else_of_its_family() -> None:
    assert recipe.of_bundle("pocketsam-fp32", "pocketsam", "fp32")[0].name == "pocketsam-fp32"
    assert recipe.of_bundle("my-own", "tinysam", "fp32")[0].name == "tinysam-fp32"
    assert recipe.of_bundle("my-own", "pocketsam", "int8")[0].name == "pocketsam-int8"


def test_weights_that_are_others_have_to_be_named() -> None:
    found, folder = recipe.of_family("mobilesam")
    with pytest.raises(ConfigError, match="do not come with this project.*mobile_sam.pt"):
        recipe.checkpoint_of(found, folder, None)
    assert recipe.checkpoint_of(found, folder, Path("mine.pt")) == Path("mine.pt")
