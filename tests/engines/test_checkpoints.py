from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="checkpoints are read with torch")

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgesam_engines.checkpoints import (
    load_strictly,
    read_safetensors,
    write_fp16,
)
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.pocketsam_family import PocketSamFamily
from edgesam_engines.families.table import open_family
from edgesam_engines.recipe import RECIPES, load
from edgesam_rt.errors import ConfigError

pytestmark = pytest.mark.torch

SHIPPED = RECIPES / load("pocketsam-int8")[0].checkpoint


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items() if "num_batches" not in k}


@pytest.fixture(scope="module")
def shipped() -> dict[str, Tensor]:
    return read_safetensors(SHIPPED)


# Files


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file") as caught:
        read_safetensors(tmp_path / "none.safetensors")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_said(tmp_path: Path, keep: float) -> None:
    raw = SHIPPED.read_bytes()
    path = tmp_path / "half.safetensors"
    path.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(CheckpointError, match=r"half\.safetensors: not a complete safetensors"):
        read_safetensors(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" * 99, b"\x80\x02}q\x00.", b"\xff" * 64])
def test_a_file_of_another_kind_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.pt: not a complete safetensors"):
        read_safetensors(path)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        read_safetensors(tmp_path)


def test_half_precision_is_read_as_fp32_and_whole_numbers_stay(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(2).half(), "n": torch.tensor(3)}, path)
    found = read_safetensors(path)
    assert (found["a"].dtype, found["n"].dtype) == (torch.float32, torch.int64)


def test_what_is_written_is_read_back_to_fp16(tmp_path: Path) -> None:
    weights = weights_of(small_model())
    write_fp16(weights, tmp_path / "w.safetensors")
    found = read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == weights.keys()
    for name, values in weights.items():
        torch.testing.assert_close(found[name], values, atol=1e-3, rtol=1e-3)


# Weights that fit


def test_weights_that_fit_are_taken() -> None:
    model, other = small_model(), small_model()
    nn.init.zeros_(next(other.parameters()))
    load_strictly(other, weights_of(model), Path("w"), "small")
    for name, values in weights_of(model).items():
        assert torch.equal(other.state_dict()[name], values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("0.weight"), r"1 missing \(0\.weight\)"),
        (lambda w: w.update({"novelty": torch.ones(1)}), r"1 unknown \(novelty\)"),
        (lambda w: w.update({"0.weight": torch.ones(4, 2)}), r"1 of other shape \(0\.weight\)"),
        (lambda w: w.clear(), r"6 missing \(0\.bias, 0\.weight, 1\.bias, …\)"),
    ],
    ids=["missing", "unknown", "shape", "empty"],
)
def test_weights_that_do_not_fit_are_counted_and_the_first_named(change: object, told: str) -> None:
    assert callable(change)
    weights = weights_of(small_model())
    change(weights)
    with pytest.raises(CheckpointError, match=rf"w: not small: .*{told}"):
        load_strictly(small_model(), weights, Path("w"), "small")


def test_a_model_is_not_touched_by_weights_that_do_not_fit() -> None:
    model = small_model()
    before = weights_of(model)
    weights = {k: v + 1 for k, v in before.items()} | {"novelty": torch.ones(1)}
    with pytest.raises(CheckpointError):
        load_strictly(model, weights, Path("w"), "small")
    for name, values in before.items():
        assert torch.equal(model.state_dict()[name], values)


# The family


def test_the_shipped_checkpoint_is_that_of_the_family() -> None:
    model = PocketSamFamily().load(SHIPPED)
    assert not model.training
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_the_shipped_checkpoint_is_finite(shipped: dict[str, Tensor]) -> None:
    assert [name for name, values in shipped.items() if not values.isfinite().all()] == []


def test_a_checkpoint_of_another_family_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mobile_sam.safetensors"
    names = ["image_encoder.patch_embed.seq.0.c.weight", "mask_decoder.iou_token.weight"]
    save_file({name: torch.zeros(1) for name in names}, path)
    with pytest.raises(CheckpointError, match=r"mobile_sam.* not pocketsam: \d+ missing .*unknown"):
        PocketSamFamily().load(path)


def test_a_checkpoint_without_its_mask_head_is_refused(
    tmp_path: Path, shipped: dict[str, Tensor]
) -> None:
    path = tmp_path / "part.safetensors"
    save_file({k: v for k, v in shipped.items() if not k.startswith("mask_head")}, path)
    with pytest.raises(CheckpointError, match=r"missing \(mask_head"):
        PocketSamFamily().load(path)


def test_a_checkpoint_with_numbers_that_are_none_is_refused(
    tmp_path: Path, shipped: dict[str, Tensor]
) -> None:
    path = tmp_path / "burst.safetensors"
    broken = {k: v.clone() for k, v in shipped.items()}
    broken["mask_head.kernel.2.weight"][0, 0] = torch.nan
    save_file(broken, path)
    with pytest.raises(CheckpointError, match=r"finite.*mask_head\.kernel\.2\.weight"):
        PocketSamFamily().load(path)


def test_an_unknown_family_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown family 'pocketsan'.*Did you mean 'pocketsam'"):
        open_family("pocketsan")
