"""RepViT: branches that become one convolution, by the rule of the model they come from."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import nn

from edgesam_engines.families import bicubic, repvit
from edgesam_engines.families.edgesam import EdgeSamEncoder
from edgesam_engines.families.repvit_sam import RepVitSamEncoder
from edgesam_engines.parity import seeded

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]
Mixer = type[repvit.InnerNormMixer] | type[repvit.OuterNormMixer]
CHANNELS, SIDE = 8, 9


def filled(module: nn.Module) -> nn.Module:
    """With seeded weights, none of them the identity, in eval mode."""
    shapes = seeded.shapes_of(module.state_dict())
    module.load_state_dict(seeded.weights_for(shapes, 3))
    return module.eval().requires_grad_(False)


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mixer", [repvit.InnerNormMixer, repvit.OuterNormMixer])
def test_three_branches_are_one_depthwise_convolution(mixer: Mixer) -> None:
    module = filled(mixer(CHANNELS))
    assert isinstance(module, (repvit.InnerNormMixer, repvit.OuterNormMixer))
    x = picture(1, CHANNELS, SIDE, SIDE)
    fused = module.fused()
    assert fused.groups == CHANNELS
    torch.testing.assert_close(fused(x), module(x), rtol=0, atol=1e-5)


def test_the_two_models_rules_give_different_answers() -> None:
    inner = filled(repvit.InnerNormMixer(CHANNELS))
    outer = repvit.OuterNormMixer(CHANNELS)
    outer.conv.load_state_dict(inner.conv.state_dict())
    outer = outer.eval().requires_grad_(False)
    x = picture(1, CHANNELS, SIDE, SIDE)
    assert (inner(x) - outer(x)).abs().max() > 0.01


@pytest.mark.parametrize("encoder", [EdgeSamEncoder, RepVitSamEncoder])
def test_a_fused_encoder_has_no_norm_left_and_gives_the_same(
    encoder: type[EdgeSamEncoder] | type[RepVitSamEncoder],
) -> None:
    module = filled(encoder())
    x = picture(1, 3, 64, 64)
    before = module(x)
    if isinstance(module, EdgeSamEncoder):
        module.fuse()
    else:
        repvit.fuse(module)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    assert before.shape == (1, 256, 4, 4)
    spread = float(before.max() - before.min())
    assert float((module(x) - before).abs().max()) < 1e-3 * spread


@pytest.mark.parametrize(("channels", "inside"), [(48, 16), (80, 24), (96, 24), (384, 96)])
def test_squeeze_excite_is_as_wide_as_published(channels: int, inside: int) -> None:
    assert repvit.SqueezeExcite(channels).fc1.out_channels == inside


@pytest.mark.parametrize("before", [3, 16, 32, 64])
def test_enlarging_by_products_is_bicubic(before: int) -> None:
    x = picture(2, 5, before, before)
    wanted = nn.functional.interpolate(x, (64, 64), mode="bicubic", align_corners=False)
    torch.testing.assert_close(bicubic.enlarged(x, 64), wanted, rtol=0, atol=1e-5)
