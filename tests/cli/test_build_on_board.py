"""`edgesam-engines build --board`: on a Jetson that is not there, without torch and onnx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesam_engines.cli import main
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from edgesam_rt.proof import compare
from tests.doubles.nvidia.install import SITE, installed, with_tensorrt
from tests.packaging.fresh import run_fresh

FACTORY = ("torch", "onnx", "safetensors", "tensorflow")
BOARD = ("--board", "jetson-orin-nano")


@pytest.fixture(scope="module")
def bundle(default_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.load(with_tensorrt(default_bundle, tmp_path_factory.mktemp("trt") / "bundle"))


@pytest.fixture(autouse=True)
def _board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path))
    monkeypatch.setattr(compare, "WARM_UP", 0)
    monkeypatch.setattr(compare, "REPEATS", 1)
    with installed("10.3.0"):
        yield


def build(bundle: Bundle, *more: str) -> int:
    return main(["build", *BOARD, "--bundle", str(bundle.folder), *more])


def test_it_builds_proves_and_says_so(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(bundle) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "scorer.onnx: built in" in err
    assert "side 512: self-test passed, mean IoU with ONNX Runtime 1.0" in err
    assert "passed; edgesam-run --board jetson-orin-nano uses it from now on" in err


def test_a_second_time_it_builds_nothing(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(bundle) == 0
    capsys.readouterr()
    assert build(bundle, "--json") == 0
    out, err = capsys.readouterr()
    assert "the plan is here (trusted)" in err
    assert "building" not in err
    assert json.loads(out)["passed"]


def test_check_builds_nothing_and_says_what_there_is(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(bundle, "--check") == 1
    assert "no plan was built here yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert build(bundle) == 0
    assert build(bundle, "--check") == 0
    assert "tensorrt is ready" in capsys.readouterr().err


def test_wrong_answers_end_with_1_and_the_reason(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENSORRT_DOUBLE_BROKEN", "1")
    assert build(bundle) == 1
    assert "tensorrt was set aside: " in capsys.readouterr().err


def test_a_board_that_needs_nothing_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--board", "cpu"]) == 0
    assert "nothing to build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build"], "name a recipe or a --family to make a bundle, or --board NAME"),
        (["build", "pocketsam-int8", *BOARD], "Give one or the other"),
        (["build", *BOARD, "--calibration", "photos"], "'calibration' belongs to building"),
        (["build", "--board", "jetson-orin-nan"], "Did you mean 'jetson-orin-nano'"),
    ],
)
def test_what_does_not_go_together_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_it_needs_neither_torch_nor_onnx(bundle: Bundle) -> None:
    code = f"""
sys.path.insert(0, {str(SITE)!r})
sys.stderr = sys.stdout
from edgesam_engines.cli import main
print(main(["build", "--board", "jetson-orin-nano", "--bundle", {str(bundle.folder)!r}]))
"""
    assert run_fresh(code, blocked=FACTORY).split()[-1] == "0"


def test_without_tensorrt_the_sentence_says_what_to_install(bundle: Bundle) -> None:
    code = f"""
sys.stderr = sys.stdout
from edgesam_engines.cli import main
print(main(["build", "--board", "jetson-orin-nano", "--bundle", {str(bundle.folder)!r}]))
"""
    told = run_fresh(code, blocked=("tensorrt", "pycuda"))
    assert "TensorRT comes with JetPack" in told
    assert told.split()[-1] == "3"
