"""Channels taken out of the trunk, the projections fitted anew."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the factory's models need torch")

import torch
from safetensors.torch import save_file
from torch import Tensor

from edgesam_engines.families.lite0 import HIDDEN, MBConv, fold_norms, hidden_widths
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.families.pocketsam_family import PocketSamFamily
from edgesam_engines.slim import STEP, Statistics, gather, plan, removal_order, slimmed

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

SIDE = 64


def new_model() -> PocketSAM:
    torch.manual_seed(0)
    model = PocketSAM()
    fold_norms(model.encoder.trunk)
    return model.eval()


def block_of(model: PocketSAM, i: int) -> MBConv:
    block = model.encoder.trunk.blocks[i]
    assert isinstance(block, MBConv)
    return block


def pictures(count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, SIDE, SIDE, generator=generator) for _ in range(count)]


def kill(model: PocketSAM, i: int, channels: slice) -> None:
    """Make some hidden channels of a block zero everywhere."""
    conv = block_of(model, i).depthwise.conv
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight[channels] = 0
        conv.bias[channels] = -1


# removal_order


def random_layer(channels: int = 8, outputs: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    samples = torch.randn(500, channels, generator=generator, dtype=torch.float64)
    samples = samples @ torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    weight = torch.randn(outputs, channels, generator=generator, dtype=torch.float64)
    return weight, torch.cov(samples.T)


def test_a_channel_that_never_changes_goes_first_and_costs_nothing() -> None:
    weight, covariance = random_layer()
    covariance[3], covariance[:, 3] = 0, 0
    covariance[3, 3] = 1e-12
    order, errors = removal_order(weight, covariance)
    assert order[0] == 3
    assert errors[0] < 1e-9


def test_a_channel_that_another_can_stand_in_for_goes_before_those_that_none_can() -> None:
    weight, _ = random_layer()
    samples = torch.randn(500, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    samples[:, 6] = 2 * samples[:, 1]
    order, errors = removal_order(weight, torch.cov(samples.T) + 1e-9 * torch.eye(8))
    assert order[0] in {1, 6}
    assert errors[0] < 1e-3 * errors[1]


def test_errors_are_those_of_the_best_fit_to_the_channels_that_stay() -> None:
    weight, covariance = random_layer()
    order, errors = removal_order(weight, covariance)
    for count in range(1, len(order) + 1):
        keep = [c for c in range(8) if c not in order[:count]]
        fitted = torch.linalg.solve(covariance[keep][:, keep], covariance[keep] @ weight.T).T
        full = torch.zeros_like(weight)
        full[:, keep] = fitted
        rest = weight - full
        assert errors[count - 1] == pytest.approx(float((rest @ covariance * rest).sum()), rel=1e-6)


# A whole model


@pytest.fixture(scope="module")
def model() -> PocketSAM:
    """One whose block 13 has 160 channels that are zero everywhere."""
    model = new_model()
    kill(model, 13, slice(0, 160))
    return model


@pytest.fixture(scope="module")
def seen(model: PocketSAM) -> dict[int, Statistics]:
    return gather(model, pictures())


@pytest.fixture(scope="module")
def slim(model: PocketSAM, seen: dict[int, Statistics]) -> PocketSAM:
    """Slimmed by as much as those 160 channels cost."""
    whole = sum(s.cost * HIDDEN[i] for i, s in seen.items())
    return slimmed(model, seen, 160 * seen[13].cost / whole)


def test_channels_that_no_picture_uses_go_first(slim: PocketSAM) -> None:
    assert slim.widths.trunk[13] <= HIDDEN[13] - 160 + STEP
    assert sum(slim.widths.trunk) < sum(HIDDEN) - 100
    assert all(n % STEP == 0 for n in slim.widths.trunk)


def test_without_them_the_values_are_nearly_the_same(model: PocketSAM, slim: PocketSAM) -> None:
    with torch.inference_mode():
        for x in pictures():
            for got, expected in zip(slim.encoder(x), model.encoder(x), strict=True):
                torch.testing.assert_close(got, expected, atol=1e-2, rtol=1e-2)


def test_the_model_given_is_left_as_it_is(model: PocketSAM, slim: PocketSAM) -> None:
    fresh = new_model()
    kill(fresh, 13, slice(0, 160))
    assert model.widths.trunk == HIDDEN
    for name, value in model.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


def test_a_slimmed_checkpoint_is_loaded_by_its_shapes(slim: PocketSAM, tmp_path: Path) -> None:
    save_file({k: v.clone() for k, v in slim.state_dict().items()}, tmp_path / "slim")
    loaded = PocketSamFamily().load(tmp_path / "slim")
    assert isinstance(loaded, PocketSAM)
    assert loaded.widths == slim.widths
    x = pictures()[0]
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded.encoder(x).grid16, slim.encoder(x).grid16, atol=1e-3, rtol=1e-3
        )


def test_hidden_widths_that_weights_lack_are_the_authors() -> None:
    assert hidden_widths({}, "trunk.") == HIDDEN
    some = {"trunk.blocks.2.depthwise.conv.weight": torch.zeros(48, 1, 3, 3)}
    assert hidden_widths(some, "trunk.") == (*HIDDEN[:2], 48, *HIDDEN[3:])


def test_a_plan_takes_where_it_costs_least_and_stops_when_enough_is_gained(
    seen: dict[int, Statistics],
) -> None:
    cheap = [1e-9 * n for n in range(1, 65)]
    dear = [1.0 * n for n in range(1, 65)]
    gone = plan({12: dear, 13: cheap}, seen, 2 * STEP * seen[13].cost)
    assert gone == {12: 0, 13: 2 * STEP}
    everything = plan({12: dear, 13: cheap}, seen, 1e18)
    assert everything == {12: 64, 13: 64}
