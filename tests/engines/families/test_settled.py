"""Made-up weights that behave as if trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_family import GRID, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import make_checkpoint, seeded, settled, settled_decoder
from edgesam_rt import selftest
from edgesam_rt.preprocess import fit_for, to_square, to_tensor
from tests.engines.families.family_doubles import saved

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
FAR_OFF = 40.0  # by how much the made-up inputs are larger than a norm's seeded statistics say
SEED = 3


class Branch(nn.Module):
    """A linear layer under the name that ends residual branches."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)  # type: ignore[no-any-return]


class Small(nn.Module):
    """Two convolutions with norms, then a residual block with channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
        self.block = nn.ModuleDict({"branch": Branch()})
        self.residual = Residual(self.block["branch"])

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.residual(x.permute(0, 2, 3, 1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)  # type: ignore[no-any-return]


def small() -> Small:
    torch.manual_seed(0)
    made = Small()
    del made.block
    return made.eval().requires_grad_(False)


def pictures(count: int) -> list[Tensor]:
    random = np.random.default_rng(0)
    values = random.standard_normal((count, 1, 3, 24, 24)).astype(np.float32) * FAR_OFF
    return [torch.from_numpy(x + 5 * i) for i, x in enumerate(values)]


def settle_small(seed: int = SEED) -> tuple[Small, list[Tensor]]:
    model = small()
    made = settled.settle_encoder(model, [partial(model, x) for x in pictures(3)], seed)
    return model, made


def test_norms_take_the_statistics_of_what_they_get_over_all_pictures() -> None:
    model, _ = settle_small()
    seen = torch.cat([model.conv1(x) for x in pictures(3)])
    assert model.bn1.running_mean is not None
    assert model.bn1.running_var is not None
    spread, mean = torch.std_mean(seen, (0, 2, 3), correction=0)
    off = (model.bn1.running_mean - mean).abs() / spread
    assert 0 < off.max() <= settled.MISS + 1e-4
    wider = model.bn1.running_var.sqrt() / spread
    assert 0 < (wider - 1).abs().max() <= settled.MISS + 1e-4


def test_a_branch_is_centred_and_adds_its_share_to_the_stream() -> None:
    model, _ = settle_small()
    streams: list[Tensor] = []
    model.residual.register_forward_pre_hook(lambda _, given: streams.append(given[0]))
    for x in pictures(3):
        model(x)
    stream = torch.cat(streams)
    added = model.residual.branch(stream).flatten(0, -2)
    share = (added - added.mean(0)).square().mean().sqrt() / stream.std()
    assert float(share) == pytest.approx(settled.SHARE, rel=settled.MISS + 0.02)
    assert float(added.mean(0).abs().max() / added.std()) < 2 * settled.MISS


def test_aligned_layers_pass_less_of_small_errors_on() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 32).requires_grad_(False)
    given = [torch.randn(500, 32) @ torch.diag(1.0 / torch.arange(1, 33)) for _ in range(2)]

    def passed_on() -> float:
        spread = torch.cat([layer(x) for x in given]).std(0).square().sum()
        return float(layer.weight.square().sum() / spread)

    before = passed_on()
    settled.settle_encoder(layer, [partial(layer, x) for x in given], SEED, aligned=True)
    assert passed_on() < 0.8 * before


def test_what_comes_back_is_what_the_settled_encoder_says() -> None:
    model, made = settle_small()
    for x, y in zip(pictures(3), made, strict=True):
        torch.testing.assert_close(model(x), y, rtol=1e-4, atol=1e-4)


def test_a_seed_gives_the_same_weights_again_and_another_gives_others() -> None:
    first, again, other = (settle_small(seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["bn1.running_mean"], other["bn1.running_mean"])


def test_one_call_that_fails_ends_them_all_with_its_own_error() -> None:
    model = small()
    fails = partial(model, torch.zeros(1, 7, 24, 24))  # seven channels
    with pytest.raises(RuntimeError, match="7 channels"):
        settled.settle_encoder(model, [partial(model, pictures(1)[0]), fails], SEED)


def test_smoothed_taps_keep_their_size_and_have_much_in_common() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3).requires_grad_(False)
    before = conv.weight.std()
    settled.smooth(conv)
    assert float(conv.weight.std() / before) == pytest.approx(1, abs=0.2)
    shared = conv.weight.mean((2, 3)).std() / conv.weight.std()
    assert shared > 1.5 / 3  # made up one by one: a third


class Toy(SamFamily):
    """SAM's decoder behind one convolution."""

    name: ClassVar[str] = "toy"

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        del weights
        return nn.Sequential(nn.Conv2d(3, 256, 16, 16), nn.BatchNorm2d(256))


@pytest.mark.slow
def test_settled_masks_are_neither_empty_nor_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled_decoder, "POINTS", 2)
    family = Toy()
    model = SamModel(family.image_encoder({}), GRID, 1024)
    shapes = seeded.shapes_of(model.state_dict())
    model.load_state_dict(seeded.weights_for(shapes, SEED))
    model.eval().requires_grad_(False)
    given = []
    for pixels in selftest.pictures():
        fit = fit_for((pixels.shape[0], pixels.shape[1]), 1024, family.preprocess)
        square = to_square(pixels, fit, family.preprocess)
        given.append(torch.from_numpy(to_tensor(square, fit, family.preprocess)))
    make_checkpoint.settle(family, model, given, SEED, aligned=True)

    encoder = family.encoder_graph(model, 1024, for_int8=False)
    decoder = family.decoder_graphs(model, 1024)["decoder"]
    embedding = dict(zip(encoder.outputs, encoder.module(given[0]), strict=True))
    inputs = {**decoder.inputs, **embedding, **settled_decoder.prompts_over(family, 1024)}
    low_res, iou = decoder.module(*(inputs[name] for name in decoder.inputs))
    shares = (low_res > 0).float().mean((2, 3))
    assert float(((shares > 0.01) & (shares < 0.99)).float().mean()) > 0.8
    assert float(iou.mean()) == pytest.approx(settled_decoder.IOU_MEAN, abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficient-sam-ti", "mobilesam", "nanosam", "slimsam-77"])
def test_files_are_laid_out_as_the_family_loads_them(name: str, tmp_path: Path) -> None:
    family, model = make_checkpoint.seeded_model(name, SEED)
    for file, content in make_checkpoint.files_of(name, model, SEED).items():
        saved(content, tmp_path / (file or "one.pt"))
    family.load(tmp_path if name == "nanosam" else tmp_path / "one.pt")


def test_every_family_but_those_with_weights_of_their_own_has_a_row() -> None:
    rows = {row.family for row in make_checkpoint.TABLE.values()}
    assert all(open_family(family).name == family for family in rows)


def test_a_wrong_name_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code = make_checkpoint.main(["mobilsam", "--photos", "nowhere", "--out", "x.pt"])
    assert code == 2
    assert "mobilesam" in capsys.readouterr().err
