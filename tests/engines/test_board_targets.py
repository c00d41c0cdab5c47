"""What every board gets of a family's bundle, by its own data file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_engines import recipe
from edgesam_engines.board_targets import target
from edgesam_rt import boards
from edgesam_rt.errors import ConfigError


@pytest.mark.parametrize("name", boards.names())
def test_every_board_gets_what_its_backends_run(name: str) -> None:
    wanted, _ = recipe.of_family("mobilesam", "int8")
    made, backends = target(wanted, name), boards.load(name).backends
    assert made.recipe.tensorrt == ("tensorrt" in backends)
    assert made.litert == ("onnxruntime" not in backends)


def test_without_a_board_there_are_onnx_files_alone() -> None:
    wanted, _ = recipe.of_family("mobilesam", "fp32")
    assert target(wanted, None) == (wanted, False)


HALVES = [name for name in recipe.names() if recipe.load(name)[0].fp16]


@pytest.mark.parametrize("name", HALVES)
def test_half_precision_lifts_what_keeps_the_encoder_float_and_leaves_the_decoder(
    name: str,
) -> None:
    wanted, _ = recipe.of_family(name, "fp16")
    made = target(wanted, "jetson-orin-nano").recipe
    assert made.tensorrt
    assert made.precision == "fp16"
    assert "encoder" not in made.keep_float
    assert "decoder" in made.keep_float


@pytest.mark.parametrize("name", ["mobilesam", "tinysam", "efficientvit-sam", "sam"])
def test_families_that_halves_break_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"fp16 with --family {name}.*edgesam, nanosam"):
        recipe.of_family(name, "fp16")


def test_a_recipe_of_halves_must_say_that_they_work(tmp_path: Path) -> None:
    text = (recipe.RECIPES / "mobilesam.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('"int8"', '"fp16"', 1), "utf-8")
    with pytest.raises(ConfigError, match="fp16 needs fp16 = true"):
        recipe.load(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("name", ["rpi5", "cpu", "android", "jetson-nano"])
def test_boards_without_tensorrt_are_refused_half_precision(name: str) -> None:
    wanted, _ = recipe.of_family("edgesam", "fp16")
    with pytest.raises(
        ConfigError, match=r"only TensorRT computes in half precision .*Name one of"
    ):
        target(wanted, name)
