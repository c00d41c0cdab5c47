"""RepViT encoders: those of EdgeSAM (M1) and of RepViT-SAM (M2.3).

In training a depthwise convolution has parallel branches; they are summed into one kernel before
export. Which branches there are, and where their BatchNorm stands, differs between the two models
(`InnerNormMixer`, `OuterNormMixer`); the other one's rule gives plausible, wrong embeddings.

Source: Wang et al. 2023, "RepViT: Revisiting Mobile CNN From ViT Perspective"; names of modules are
those of the published checkpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from edgesam_engines.families.sam_parts import ConvNorm, fold_norms

EXPANSION = 2  # of channel mixers
SQUEEZE = 4  # channels over those inside squeeze-excite, rounded to multiples of 8
KERNEL = 3


class BlockRow(NamedTuple):
    """One block: its output channels, whether it has squeeze-excite, its stride."""

    channels: int
    excite: bool
    stride: int = 1


class InnerNormMixer(nn.Module):
    """EdgeSAM's: each branch has its BatchNorm, the identity has none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, KERNEL, groups=channels)
        self.conv1 = ConvNorm(channels, channels, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return cast(Tensor, self.conv(x) + self.conv1(x) + x)

    def fused(self) -> nn.Conv2d:
        """The depthwise convolution that does the same."""
        return _with_centre_taps(_folded(self.conv), _folded(self.conv1))


class OuterNormMixer(nn.Module):
    """RepViT-SAM's: one branch has its own BatchNorm, and the sum of all has another."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, KERNEL, groups=channels)
        self.conv1 = nn.Conv2d(channels, channels, 1, groups=channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return cast(Tensor, self.bn(self.conv(x) + self.conv1(x) + x))

    def fused(self) -> nn.Conv2d:
        """The depthwise convolution that does the same."""
        both = _with_centre_taps(_folded(self.conv), self.conv1)
        return fuse_conv_bn_eval(both, self.bn)


class SqueezeExcite(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = squeezed(channels)
        self.fc1 = nn.Conv2d(channels, inside, 1)
        self.fc2 = nn.Conv2d(inside, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        means = F.adaptive_avg_pool2d(x, 1)  # a pool: runtimes have it for bytes, a mean not
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class Residual(nn.Module):
    """A branch beside an identity."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.m = branch

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return cast(Tensor, x + self.m(x))


class Block(nn.Module):
    """A token mixer (over neighbours) and a channel mixer (over channels)."""

    def __init__(self, cin: int, row: BlockRow, mixer: Callable[[int], nn.Module]) -> None:
        super().__init__()
        cout = row.channels
        excite: nn.Module = SqueezeExcite(cin) if row.excite else nn.Identity()
        if row.stride == 1 and cin == cout:
            self.token_mixer = nn.Sequential(mixer(cin), excite)
        else:
            shrink = ConvNorm(cin, cin, KERNEL, row.stride, groups=cin)
            self.token_mixer = nn.Sequential(shrink, excite, ConvNorm(cin, cout))
        hidden = EXPANSION * cout
        self.channel_mixer = Residual(
            nn.Sequential(ConvNorm(cout, hidden), nn.GELU(), ConvNorm(hidden, cout))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, channels, H / stride, W / stride)."""
        return cast(Tensor, self.channel_mixer(self.token_mixer(x)))


def features(rows: Sequence[BlockRow], mixer: Callable[[int], nn.Module]) -> nn.ModuleList:
    """The stem (stride 4) and all blocks."""
    width = rows[0].channels
    stem = nn.Sequential(
        ConvNorm(3, width // 2, KERNEL, 2), nn.GELU(), ConvNorm(width // 2, width, KERNEL, 2)
    )
    widths = [width, *(row.channels for row in rows)]
    blocks = [Block(cin, row, mixer) for cin, row in zip(widths, rows, strict=False)]
    return nn.ModuleList([stem, *blocks])


def squeezed(channels: int) -> int:
    """Channels inside squeeze-excite: a quarter, to the nearest multiple of 8, at least 8."""
    return max(8, (channels // SQUEEZE + 4) // 8 * 8)


def fuse(module: nn.Module) -> None:
    """Make one convolution of everything below `module` that is one, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, (InnerNormMixer, OuterNormMixer)):
            setattr(module, name, child.fused())
        else:
            fuse(child)
    fold_norms(module)


def _folded(pair: ConvNorm) -> nn.Conv2d:
    return fuse_conv_bn_eval(pair.c, pair.bn)


def _with_centre_taps(conv: nn.Conv2d, point: nn.Conv2d) -> nn.Conv2d:
    """A depthwise convolution plus a 1x1 depthwise one plus the identity, as one."""
    assert conv.bias is not None
    assert point.bias is not None
    made = copy.deepcopy(conv)
    assert made.bias is not None
    with torch.no_grad():
        made.weight += F.pad(point.weight + 1, [KERNEL // 2] * 4)
        made.bias += point.bias
    return made
