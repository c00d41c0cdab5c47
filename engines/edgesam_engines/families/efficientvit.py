"""EfficientViT-L image encoders: convolutions, and at stride 32 linear attention.

Source: Cai et al. 2023, "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense
Prediction", and Zhang et al. 2024, "EfficientViT-SAM"; names of modules are those of the published
checkpoints. Where those give a convolution a bias, it has no norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from edgesam_engines.families.bicubic import enlarged
from edgesam_engines.families.sam_parts import LayerNorm2d
from edgesam_engines.families.sam_prompts import DIM

EXPANSION = 4  # channels inside a block over those of its input
FIRST = 4  # a stage's first block has this many times more
HEAD = 32  # channels of an attention head
ATTENTION_EXPANSION = 6
NEIGHBOURS = 5  # side of the window that makes the second scale of attention
EPS = 1e-15
NECK_WIDTH = 256
GRID = 64
STEM = 32


class StageRow(NamedTuple):
    """A stage behind the first one: its channels, and what kind of blocks it has."""

    channels: int
    kind: str


STAGES = (
    StageRow(64, "fused"),
    StageRow(128, "fused"),
    StageRow(256, "inverted"),
    StageRow(512, "attention"),
)


class Depths(NamedTuple):
    """Blocks of each stage without its first, and of the neck; the only thing sizes differ in."""

    stages: tuple[int, ...]
    neck: int


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
    """Attention with ReLU for softmax, over single cells and over windows of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide, heads = 3 * channels, channels // HEAD
        self.qkv = ConvLayer(channels, wide, norm=False, bias=False)
        window = nn.Conv2d(wide, wide, NEIGHBOURS, padding=NEIGHBOURS // 2, groups=wide, bias=False)
        mix = nn.Conv2d(wide, wide, 1, groups=3 * heads, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(window, mix)])
        self.proj = ConvLayer(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        qkv = self.qkv(x)
        both = torch.cat([qkv, *(scale(qkv) for scale in self.aggreg)], 1)
        return cast(Tensor, self.proj(_attend(both)))


class AttentionBlock(nn.Module):
    """Attention, then an inverted bottleneck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context_module = Beside(LinearAttention(channels), shortcut=True)
        self.local_module = Beside(
            Inverted(channels, channels, 1, ATTENTION_EXPANSION), shortcut=True
        )

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


class Backbone(nn.Module):
    """(B, 3, S, S) to maps at strides 8, 16 and 32."""

    def __init__(self, depths: Sequence[int]) -> None:
        super().__init__()
        stem = [ConvLayer(3, STEM, 3, 2, act=True)]
        first = (Beside(TwoConvs(STEM), shortcut=True) for _ in range(depths[0]))
        stages = [OpList([*stem, *first])]
        widths = [STEM, *(row.channels for row in STAGES)]
        for cin, row, depth in zip(widths, STAGES, depths[1:], strict=False):
            stages.append(OpList(_stage(cin, row, depth)))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class; the finest last."""
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.insert(0, x)
        return maps[:3]


class Neck(nn.Module):
    """Three maps at their finest's size, summed and mixed."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        widths = [row.channels for row in reversed(STAGES)][:3]
        self.input_ops = nn.ModuleList(OpList([ConvLayer(c, NECK_WIDTH)]) for c in widths)
        blocks = (Beside(Fused(NECK_WIDTH, NECK_WIDTH, 1, 1), shortcut=True) for _ in range(depth))
        self.middle = OpList(blocks)
        self.output_ops = nn.ModuleList([OpList([ConvLayer(NECK_WIDTH, DIM, norm=False)])])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, the finest last, to (B, 256, GRID, GRID)."""
        x = self.input_ops[-1](maps[-1])
        for op, coarse in zip(self.input_ops[:-1], maps[:-1], strict=True):
            x = x + enlarged(op(coarse), GRID)
        return cast(Tensor, self.output_ops[0](self.middle(x)))


class EfficientVitEncoder(nn.Module):
    """(B, 3, 512, 512) normalised to (B, 256, 64, 64)."""

    def __init__(self, depths: Depths) -> None:
        super().__init__()
        self.backbone = Backbone(depths.stages)
        self.neck = Neck(depths.neck)
        self.norm = LayerNorm2d(DIM)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.norm(self.neck(self.backbone(x))))

    def fold(self) -> None:
        """Put every norm into its convolution, in place."""
        for layer in self.modules():
            if isinstance(layer, ConvLayer):
                layer.fold()


def _stage(cin: int, row: StageRow, depth: int) -> Iterator[nn.Module]:
    first = Fused if row.kind == "fused" else Inverted
    wide = FIRST * (ATTENTION_EXPANSION if row.kind == "attention" else EXPANSION)
    yield Beside(first(cin, row.channels, 2, wide), shortcut=False)
    for _ in range(depth):
        if row.kind == "attention":
            yield AttentionBlock(row.channels)
        else:
            yield Beside(first(row.channels, row.channels, 1, EXPANSION), shortcut=True)


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
