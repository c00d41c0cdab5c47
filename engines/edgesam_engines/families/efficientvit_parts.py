"""What EfficientViT-L encoders are made of; see `efficientvit.py`.

Names of modules are those of the published checkpoints. Where those give a convolution a bias, it
has no norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

HEAD = 32  # channels of an attention head
EPS = 1e-15


class ConvLayer(nn.Module):
    """Convolution, then a norm unless it has a bias, then GELU if `act`."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: bool = False,
        norm: bool = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        has_bias = not norm if bias is None else bias
        same = kernel // 2
        self.conv = nn.Conv2d(cin, cout, kernel, stride, same, groups=groups, bias=has_bias)
        self.norm: nn.Module = nn.BatchNorm2d(cout) if norm else nn.Identity()
        self.act = nn.GELU(approximate="tanh") if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        return cast(Tensor, self.act(self.norm(self.conv(x))))

    def fold(self) -> None:
        """Put the norm into the convolution, in place."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class TwoConvs(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3, act=True)
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return cast(Tensor, self.conv2(self.conv1(x)))


class Fused(nn.Module):
    """A 3x3 convolution to more channels, and one back."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = cin * expansion
        self.spatial_conv = ConvLayer(cin, inside, 3, stride, act=True)
        self.point_conv = ConvLayer(inside, cout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        return cast(Tensor, self.point_conv(self.spatial_conv(x)))


class Inverted(nn.Module):
    """To more channels, a depthwise convolution, and back; only the last has a norm."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = cin * expansion
        self.inverted_conv = ConvLayer(cin, inside, act=True, norm=False)
        self.depth_conv = ConvLayer(inside, inside, 3, stride, groups=inside, act=True, norm=False)
        self.point_conv = ConvLayer(inside, cout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        return cast(Tensor, self.point_conv(self.depth_conv(self.inverted_conv(x))))


class LinearAttention(nn.Module):
    """Attention with ReLU for softmax, over single cells and over windows of so many by so many."""

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        wide, heads = 3 * channels, channels // HEAD
        self.qkv = ConvLayer(channels, wide, norm=False, bias=False)
        near = nn.Conv2d(wide, wide, window, padding=window // 2, groups=wide, bias=False)
        mix = nn.Conv2d(wide, wide, 1, groups=3 * heads, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(near, mix)])
        self.proj = ConvLayer(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        qkv = self.qkv(x)
        both = torch.cat([qkv, *(scale(qkv) for scale in self.aggreg)], 1)
        return cast(Tensor, self.proj(_attend(both)))


class AttentionBlock(nn.Module):
    """Attention, then an inverted bottleneck."""

    def __init__(self, channels: int, window: int, expansion: int) -> None:
        super().__init__()
        self.context_module = Beside(LinearAttention(channels, window), shortcut=True)
        self.local_module = Beside(Inverted(channels, channels, 1, expansion), shortcut=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return cast(Tensor, self.local_module(self.context_module(x)))


class Beside(nn.Module):
    """A branch, beside an identity if `shortcut`."""

    def __init__(self, main: nn.Module, *, shortcut: bool) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to what the branch makes of it."""
        y = self.main(x)
        return cast(Tensor, x + y if self.shortcut else y)


class OpList(nn.Module):
    """Modules one after the other."""

    def __init__(self, modules: Iterator[nn.Module] | Sequence[nn.Module]) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Through all of them."""
        for module in self.op_list:
            x = module(x)
        return x


def _attend(qkv: Tensor) -> Tensor:
    """Linear attention of (B, heads * 3 * HEAD, H, W), each head's queries, keys and values."""
    batch, _, height, width = (int(n) for n in qkv.shape)
    heads = qkv.reshape(batch, -1, 3 * HEAD, height * width)
    queries, keys, values = (
        F.relu(heads[:, :, :HEAD]),
        heads[:, :, HEAD : 2 * HEAD],
        heads[:, :, 2 * HEAD :],
    )
    keys = F.relu(keys).transpose(-1, -2)
    seen = (values @ keys) @ queries
    weight = keys.sum(2, keepdim=True) @ queries
    return (seen / (weight + EPS)).reshape(batch, -1, height, width)
