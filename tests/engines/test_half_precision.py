"""What half precision breaks is seen without a device that computes in it."""

from __future__ import annotations

from typing import ClassVar

import pytest

pytest.importorskip("torch", reason="the factory needs torch")

import torch
from torch import Tensor, nn

from edgesam_engines import half_precision
from edgesam_engines.errors import VerificationError
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.sam_family import DECODER, PREPROCESS

pytestmark = pytest.mark.torch
SIDE = 64


class Scaled(nn.Module):
    """A convolution whose map is made larger on the way, and as much smaller again."""

    def __init__(self, by: float, offset: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.by, self.offset = nn.Conv2d(3, 8, 3), by, offset

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) * self.by + self.offset) / self.by - self.offset / self.by


class One:
    """A family of one small network."""

    name = "one"
    preprocess, decoder = PREPROCESS, DECODER
    layouts: ClassVar[dict[str, str]] = {}

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        return GraphSpec(model.eval(), {"x": torch.zeros(1, 3, side, side)}, ("y",))


def report(model: nn.Module) -> dict[str, object]:
    made: dict[str, object] = half_precision.compare(One(), model, SIDE)  # type: ignore[arg-type]
    return made


def test_a_network_that_bears_it_passes_and_is_not_exact() -> None:
    made = report(Scaled(1.0, offset=30.0))
    half_precision.require(made)
    assert made["distance_ratio"] == pytest.approx(1, abs=0.01)
    assert made["cosine"]["y"] < 1  # type: ignore[index]


def test_values_that_halves_cannot_hold_are_refused() -> None:
    made = report(Scaled(1e6))
    assert made["cosine"] == {"y": 0.0}
    assert made["distance_ratio"] == 0.0
    with pytest.raises(VerificationError, match=r"cosine of 0\.0 .*Use --precision int8 or fp32"):
        half_precision.require(made)


def test_a_network_that_loses_the_picture_beside_large_numbers_is_refused() -> None:
    with pytest.raises(VerificationError):
        half_precision.require(report(Scaled(1.0, offset=30_000.0)))


def test_pictures_that_grow_alike_are_refused_whatever_their_cosine() -> None:
    with pytest.raises(VerificationError, match=r"differ 0\.2 times"):
        half_precision.require({"cosine": {"y": 0.999}, "distance_ratio": 0.2})


def test_the_model_itself_keeps_its_weights() -> None:
    model = Scaled(1.0)
    before = model.conv.weight.clone()
    report(model)
    assert torch.equal(model.conv.weight, before)
