"""Checkpoints that cannot be used: what is said, and that nothing of them is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="checkpoints need torch")

import torch

from edgesam_engines import cli
from edgesam_engines.checkpoints import read_torch
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.table import open_family
from tests.engines.families.family_doubles import saved, weights

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]


def load(family: str, path: Path) -> None:
    open_family(family).load(path)


def refusal(family: str, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(family, path)
    return str(caught.value)


@pytest.fixture(scope="module")
def tiny() -> dict[str, torch.Tensor]:
    return weights("mobilesam")


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.path, "w"))


def test_the_official_layout_loads_with_its_dead_classifier_and_in_a_wrapper(
    tiny: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    whole = {**tiny, "image_encoder.head.weight": torch.zeros(1000, 320)}
    load("mobilesam", saved({"model": whole}, tmp_path / "mobile_sam.pt"))


def test_a_checkpoint_of_another_family_is_called_by_its_name(
    tiny: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    text = refusal("sam", saved(tiny, tmp_path / "mobile_sam.pt"))
    assert "not sam" in text
    assert "looks like mobilesam or tinysam" in text


def test_the_first_few_missing_and_unknown_tensors_are_listed(
    tiny: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    less = {k: v for k, v in tiny.items() if not k.startswith("mask_decoder.iou")}
    text = refusal("mobilesam", saved({**less, "extra": torch.zeros(1)}, tmp_path / "a.pt"))
    assert "missing (mask_decoder.iou_prediction_head.layers.0.bias" in text
    assert "1 unknown (extra)" in text


def test_a_tensor_of_another_shape_is_named(tiny: dict[str, torch.Tensor], tmp_path: Path) -> None:
    other = {**tiny, "mask_decoder.iou_token.weight": torch.zeros(1, 128)}
    text = refusal("mobilesam", saved(other, tmp_path / "a.pt"))
    assert "1 of other shape (mask_decoder.iou_token.weight)" in text


def test_values_that_are_no_numbers_are_refused(
    tiny: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    broken = {**tiny, "mask_decoder.iou_token.weight": torch.full((1, 256), float("nan"))}
    assert "not finite" in refusal("mobilesam", saved(broken, tmp_path / "a.pt"))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = saved({"model": Touch(str(touched))}, tmp_path / "evil.pt")
    text = refusal("mobilesam", path)
    assert "reading it would run io.open; refused" in text
    assert not touched.exists()


def test_a_plain_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    touched, path = tmp_path / "touched", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Touch(str(touched)), protocol=2))
    assert "checkpoint" in refusal("mobilesam", path)
    assert not touched.exists()


def test_a_whole_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    text = refusal("slimsam", saved(torch.nn.Linear(2, 2), tmp_path / "SlimSAM-77.pth"))
    assert "state_dict()" in text


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_said_to_be_incomplete(
    tiny: dict[str, torch.Tensor], tmp_path: Path, share: float
) -> None:
    whole = saved({k: tiny[k] for k in list(tiny)[:20]}, tmp_path / "whole.pt").read_bytes()
    part = tmp_path / "part.pt"
    part.write_bytes(whole[: int(share * len(whole))])
    assert "part.pt: not a" in refusal("mobilesam", part)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "no such file" in refusal("mobilesam", tmp_path / "mobile_sam.pt")


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {"epoch": 3}}, torch.zeros(3)])
def test_a_file_without_weights_by_name_is_refused(content: object, tmp_path: Path) -> None:
    assert "expected a dict of tensors" in refusal("mobilesam", saved(content, tmp_path / "a.pt"))


def test_weights_saved_as_halves_are_read_as_floats(tmp_path: Path) -> None:
    (value,) = read_torch(saved({"a": torch.ones(2).half()}, tmp_path / "a.pt")).values()
    assert value.dtype == torch.float32


def test_nanosam_wants_both_of_its_files(tiny: dict[str, torch.Tensor], tmp_path: Path) -> None:
    saved(tiny, tmp_path / "mobile_sam.pt")
    text = refusal("nanosam", tmp_path)
    assert "expected a folder with two files" in text
    assert "mobile_sam.pt (mobilesam or tinysam)" in text


def test_nanosam_takes_the_decoder_from_mobilesam(
    tiny: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    own = weights("nanosam", seed=2)
    encoder = {k.removeprefix("image_encoder."): v for k, v in own.items() if "image_enc" in k}
    assert looks_like(encoder) == "nanosam"
    saved({"model": encoder, "epoch": 3}, tmp_path / "resnet18.pth")
    saved(tiny, tmp_path / "mobile_sam.pt")
    model = open_family("nanosam").load(tmp_path)
    made = model.state_dict()["mask_decoder.iou_token.weight"]
    torch.testing.assert_close(made, tiny["mask_decoder.iou_token.weight"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--precision", "fp16"], "precision fp16"),
        (["--board", "android", "--precision", "fp16"], "mobilesam: half precision"),
        (["--board", "rpi6"], "rpi6"),
        (["pocketsam-int8"], "not both"),
        ([], "do not come with this project"),
    ],
)
def test_builds_that_cannot_be_are_refused_before_anything_is_read(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    wanted = ["build", "--family", "mobilesam", "--precision", "fp32", "--out", str(out), *more]
    assert cli.main(wanted) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_unknown_family_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "--family", "mobilsam", "--checkpoint", "x.pt"]) == 2
    assert "mobilesam" in capsys.readouterr().err
