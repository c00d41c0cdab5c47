"""TinyViT-5M as MobileSAM and TinySAM use it: 1024 px in, 256 x 64 x 64 out.

Source: Wu et al. 2022, "TinyViT", section 4; Zhang et al. 2023, "Faster Segment Anything", for the
last merge's stride of 1. Parameter names are upstream's; the order of the arithmetic is not (see
`windows.py`).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.families.sam_parts import ConvNorm, neck
from edgesam_engines.families.windows import Projections, arranged, divided, joined

STEM_STRIDE = 4
DIMS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
WINDOWS = (0, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the merges between stages
HEAD = 32  # channels of an attention head
EXPANSION = 4
OUT = 256


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        half = DIMS[0] // 2
        self.seq = nn.Sequential(ConvNorm(3, half, 3, 2), nn.GELU(), ConvNorm(half, DIMS[0], 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (1, 64, S / 4, S / 4)."""
        made: Tensor = self.seq(x)
        return made


class MBConv(nn.Module):
    """1x1, depthwise 3x3, 1x1 and the shortcut, with a GELU behind each but before the sum."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = EXPANSION * dim
        self.conv1 = ConvNorm(dim, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to the same."""
        y = self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))
        made: Tensor = self.act(x + y)
        return made


class Merge(nn.Module):
    """Between stages: 1x1, depthwise 3x3 with the stride, 1x1."""

    def __init__(self, dim: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, out)
        self.conv2 = ConvNorm(out, out, 3, stride, groups=out)
        self.conv3 = ConvNorm(out, out)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (1, C', H / stride, W / stride)."""
        made: Tensor = self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))
        return made


class WindowAttention(nn.Module):
    """Norm, attention within windows with a bias by distance, projection.

    Args:
        dim: channels.
        window: side of a window, cells.
    """

    offsets: Tensor

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = dim // HEAD, window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        offsets = _offsets(window)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, int(offsets.max()) + 1))
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) to the same."""
        h, w = (int(n) for n in x.shape[:2])  # int: the trace takes it as a constant
        p = self._projections()
        x = functional.layer_norm(x, self.norm.normalized_shape, self.norm.weight)
        q = divided(x @ p.query.T + p.query_bias, self.window, HEAD)
        k, v = (divided(x @ part.T, self.window, HEAD) for part in (p.key, p.value))
        scores = q @ k.transpose(-2, -1) + self.attention_biases[:, self.offsets]
        x = joined(scores.softmax(-1) @ v, h, w, self.window)
        return x @ self.proj.weight.T + p.out_bias

    def _projections(self) -> Projections:
        """From upstream's order, head by head. The norm's bias, too, is part of what they add."""
        weight = self.qkv.weight.view(self.heads, 3, HEAD, -1).transpose(0, 1).flatten(0, 2)
        bias = self.qkv.bias + self.qkv.weight @ self.norm.bias
        bias = bias.view(self.heads, 3, HEAD).transpose(0, 1).flatten()
        return arranged(weight, bias, self.proj, HEAD**-0.5)


def _offsets(window: int) -> Tensor:
    """(cells, cells) which bias is meant: distances in the order in which upstream meets them."""
    cells = list(itertools.product(range(window), repeat=2))
    known: dict[tuple[int, int], int] = {}
    rows = [
        [known.setdefault((abs(a - c), abs(b - d)), len(known)) for c, d in cells] for a, b in cells
    ]
    return torch.tensor(rows)


class FeedForward(nn.Module):
    """Norm, two linear layers, GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, EXPANSION * dim)
        self.fc2 = nn.Linear(EXPANSION * dim, dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        made: Tensor = self.fc2(self.act(self.fc1(self.norm(x))))
        return made


class Block(nn.Module):
    """Attention, a depthwise convolution, feed-forward."""

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(dim, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = FeedForward(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) to the same."""
        x = x + self.attn(x)
        x = self.local_conv(x.permute(2, 0, 1).unsqueeze(0)).squeeze(0).permute(1, 2, 0)
        made: Tensor = x + self.mlp(x)
        return made


class Stage(nn.Module):
    """Blocks and a merge behind them, where there is one; channels first in and out."""

    def __init__(self, index: int) -> None:
        super().__init__()
        dim, window = DIMS[index], WINDOWS[index]
        self.is_local = not window
        self.blocks = nn.ModuleList(
            Block(dim, window) if window else MBConv(dim) for _ in range(DEPTHS[index])
        )
        if index < len(STRIDES):
            self.downsample = Merge(dim, DIMS[index + 1], STRIDES[index])

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (1, C', H', W')."""
        if not self.is_local:
            x = x.squeeze(0).permute(1, 2, 0)
        for block in self.blocks:
            x = block(x)
        if not self.is_local:
            x = x.permute(2, 0, 1).unsqueeze(0)
        return self.downsample(x) if hasattr(self, "downsample") else x


class TinyViT(nn.Module):
    """The image encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.layers = nn.ModuleList(Stage(i) for i in range(len(DIMS)))
        self.neck = neck(DIMS[-1], OUT)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (1, 256, S / 16, S / 16)."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        made: Tensor = self.neck(x)
        return made
