"""EfficientViT-SAM: depths from the weights, norms that fold, linear attention."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import nn

from edgesam_engines.families.efficientvit import Depths, EfficientVitEncoder, L
from edgesam_engines.families.efficientvit_parts import LinearAttention
from edgesam_engines.families.efficientvit_sam import (
    NORM_EPS,
    EfficientVitSam,
    EfficientVitSamXl,
)
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.parity import seeded
from tests.engines.families.family_doubles import EFFICIENTVIT, telling

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]


@pytest.mark.parametrize("size", EFFICIENTVIT)
def test_the_weights_tell_how_deep_an_encoder_is_and_which_family_takes_them(size: str) -> None:
    family = EfficientVitSamXl() if size.startswith("x") else EfficientVitSam()
    weights = telling(f"{family.name}-{size}")
    with torch.device("meta"):
        made = family.image_encoder(weights).state_dict()
    assert {f"image_encoder.{k}": v.shape for k, v in made.items()} == {
        k: v.shape for k, v in weights.items()
    }
    assert looks_like(weights) == family.name


@pytest.mark.parametrize("family", [EfficientVitSam(), EfficientVitSamXl()])
def test_without_weights_the_smallest_is_made(family: EfficientVitSam) -> None:
    size = "xl0" if isinstance(family, EfficientVitSamXl) else "l0"
    with torch.device("meta"):
        made = family.image_encoder({}).state_dict()
    assert {f"image_encoder.{k}" for k in made} == telling(f"{family.name}-{size}").keys()


def test_every_norm_has_upstreams_epsilon_the_decoders_too_and_none_is_left_in_the_encoder() -> (
    None
):
    family = EfficientVitSam()
    model = SamModel(EfficientVitEncoder(L, Depths((0, 0, 0, 0, 1), 1)), 64, 1024).eval()
    folded = family.folded(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert {m.eps for m in folded.modules() if isinstance(m, nn.LayerNorm)} == {NORM_EPS}


def test_folding_changes_no_value() -> None:
    encoder = EfficientVitEncoder(L, Depths((1, 0, 0, 1, 1), 1))
    shapes = seeded.shapes_of(encoder.state_dict())
    encoder.load_state_dict(seeded.weights_for(shapes, 1))
    encoder = encoder.eval().requires_grad_(False)
    x = torch.randn((1, 3, 512, 512), generator=torch.Generator().manual_seed(0))
    before = encoder(x)
    encoder.fold()
    spread = float(before.max() - before.min())
    assert float((encoder(x) - before).abs().max()) < 1e-4 * spread


def test_linear_attention_is_attention_with_products_for_weights() -> None:
    layer = LinearAttention(64, 5)
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
