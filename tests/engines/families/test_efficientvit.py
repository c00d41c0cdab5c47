"""EfficientViT-SAM: depths from the weights, norms that fold, linear attention."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import nn

from edgesam_engines.families.efficientvit import Depths, EfficientVitEncoder, LinearAttention
from edgesam_engines.families.efficientvit_sam import NORM_EPS, EfficientVitSam
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.parity import seeded

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]
SIZES = {
    "l0": Depths((1, 1, 1, 4, 4), 4),
    "l1": Depths((1, 1, 1, 6, 6), 8),
    "l2": Depths((1, 2, 2, 8, 8), 12),
}


@pytest.mark.parametrize("size", SIZES)
def test_the_weights_tell_how_deep_an_encoder_is(size: str) -> None:
    with torch.device("meta"):
        wanted = EfficientVitEncoder(SIZES[size]).state_dict()
        weights = {f"image_encoder.{k}": v for k, v in wanted.items()}
        made = EfficientVitSam().image_encoder(weights).state_dict()
    assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in wanted.items()}


def test_every_norm_has_upstreams_epsilon_the_decoders_too_and_none_is_left_in_the_encoder() -> (
    None
):
    family = EfficientVitSam()
    model = SamModel(EfficientVitEncoder(Depths((0, 0, 0, 0, 1), 1)), 64, 1024).eval()
    folded = family.folded(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert {m.eps for m in folded.modules() if isinstance(m, nn.LayerNorm)} == {NORM_EPS}


def test_folding_changes_no_value() -> None:
    encoder = EfficientVitEncoder(Depths((1, 0, 0, 1, 1), 1))
    shapes = seeded.shapes_of(encoder.state_dict())
    encoder.load_state_dict(seeded.weights_for(shapes, 1))
    encoder = encoder.eval().requires_grad_(False)
    x = torch.randn((1, 3, 512, 512), generator=torch.Generator().manual_seed(0))
    before = encoder(x)
    encoder.fold()
    spread = float(before.max() - before.min())
    assert float((encoder(x) - before).abs().max()) < 1e-4 * spread


def test_linear_attention_is_attention_with_products_for_weights() -> None:
    layer = LinearAttention(64)
    shapes = seeded.shapes_of(layer.state_dict())
    layer.load_state_dict(seeded.weights_for(shapes, 2))
    layer = layer.eval().requires_grad_(False)
    x = torch.randn((1, 64, 5, 6), generator=torch.Generator().manual_seed(1))
    qkv = layer.qkv(x)
    heads = torch.cat([qkv, layer.aggreg[0](qkv)], 1).reshape(-1, 3, 32, 30)
    queries, keys, values = heads[:, 0].relu(), heads[:, 1].relu(), heads[:, 2]
    weights = keys.transpose(1, 2) @ queries  # of each key (row) for each query (column)
    seen = values @ (weights / weights.sum(1, keepdim=True))
    torch.testing.assert_close(layer(x), layer.proj(seen.reshape(1, -1, 5, 6)), rtol=0, atol=1e-4)
