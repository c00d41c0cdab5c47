"""EfficientNet-Lite0 trunk: ReLU6, no squeeze-excite, made by its authors for integer hardware.

Source of the table: Liu et al. 2020, "Higher accuracy on vision models with EfficientNet-Lite".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StageRow:
    """One stage of the trunk: how many blocks, and what each looks like."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STEM_CHANNELS = 32
STAGES = (
    StageRow(1, 3, 1, 1, 16),
    StageRow(2, 3, 2, 6, 24),
    StageRow(2, 5, 2, 6, 40),
    StageRow(3, 3, 2, 6, 80),
    StageRow(3, 5, 1, 6, 112),
    StageRow(4, 5, 2, 6, 192),
    StageRow(1, 3, 1, 6, 320),
)
HIDDEN = (32, 96, 144, 144, 240, 240, *[480] * 3, *[672] * 3, *[1152] * 4)
TAPS = (2, 4, 10, 15)  # blocks whose outputs leave the trunk, at strides 4, 8, 16, 32
TAP_CHANNELS = (24, 40, 112, 320)


class ConvNorm(nn.Module):
    """Convolution, BatchNorm and (by default) ReLU6, with TensorFlow's "same" padding.

    At stride 2 that padding is lopsided (more at the bottom and right), which is why it is a
    layer of its own there.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        total = max(kernel - stride, 0)
        before = total // 2
        lopsided = total % 2 == 1
        self.pad = (
            nn.ZeroPad2d((before, total - before, before, total - before))
            if lopsided
            else nn.Identity()
        )
        self.conv = nn.Conv2d(
            cin, cout, kernel, stride, 0 if lopsided else before, groups=groups, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.01)
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, ceil(H / stride), ceil(W / stride))."""
        return cast(Tensor, self.act(self.norm(self.conv(self.pad(x)))))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the convolution that does the same without its BatchNorm."""
        norm, conv = self.norm, self.conv
        if not isinstance(norm, nn.BatchNorm2d):
            assert conv.bias is not None
            return conv.weight, conv.bias
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale

    def fold(self) -> None:
        """Fold the BatchNorm into the convolution, in place; a second call does nothing."""
        if not isinstance(self.norm, nn.BatchNorm2d):
            return
        old = self.conv
        new = nn.Conv2d(
            old.in_channels,
            old.out_channels,
            cast("tuple[int, int]", old.kernel_size),
            cast("tuple[int, int]", old.stride),
            cast("tuple[int, int]", old.padding),
            groups=old.groups,
        )
        assert new.bias is not None
        with torch.no_grad():
            weight, bias = self.folded()
            new.weight.copy_(weight)
            new.bias.copy_(bias)
        self.conv, self.norm = new, nn.Identity()


class MBConv(nn.Module):
    """Inverted bottleneck: expand, depthwise, project; a shortcut where shapes agree."""

    def __init__(
        self, cin: int, cout: int, kernel: int, stride: int, expand: int, mid: int
    ) -> None:
        super().__init__()
        self.expand = ConvNorm(cin, mid) if expand != 1 else nn.Identity()
        self.depthwise = ConvNorm(mid, mid, kernel, stride, groups=mid)
        self.project = ConvNorm(mid, cout, act=False)
        self.shortcut = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / stride, W / stride)."""
        y = cast(Tensor, self.project(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class Trunk(nn.Module):
    """The whole trunk; gives the four feature maps that a pyramid needs.

    `hidden` are the channels inside each block; `HIDDEN` are its authors', a slimmed trunk has
    fewer (`edgesam_engines/slim.py`).
    """

    def __init__(self, hidden: Sequence[int] = HIDDEN) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        blocks: list[nn.Module] = []
        cin = STEM_CHANNELS
        mids = iter(hidden)
        for row in STAGES:
            for i in range(row.repeats):
                stride = row.stride if i == 0 else 1
                blocks.append(MBConv(cin, row.channels, row.kernel, stride, row.expand, next(mids)))
                cin = row.channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, S, S) to four maps at strides 4, 8, 16, 32 with TAP_CHANNELS channels."""
        x = self.stem(x)
        taps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return taps

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take the published weights (keys `_conv_stem`, `_blocks.N._expand_conv`, ...)."""

        def take(layer: nn.Module, conv: str, norm: str) -> None:
            assert isinstance(layer, ConvNorm)
            assert isinstance(layer.norm, nn.BatchNorm2d)
            with torch.no_grad():
                layer.conv.weight.copy_(weights[f"{conv}.weight"])
                for name in ("weight", "bias", "running_mean", "running_var"):
                    getattr(layer.norm, name).copy_(weights[f"{norm}.{name}"])

        take(self.stem, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, MBConv)
            at = f"_blocks.{i}"
            if isinstance(block.expand, ConvNorm):
                take(block.expand, f"{at}._expand_conv", f"{at}._bn0")
            take(block.depthwise, f"{at}._depthwise_conv", f"{at}._bn1")
            take(block.project, f"{at}._project_conv", f"{at}._bn2")


def hidden_widths(weights: Mapping[str, Tensor], prefix: str) -> tuple[int, ...]:
    """The channels inside each block of a trunk, from its weights; where those lack, `HIDDEN`."""
    found = list(HIDDEN)
    for i in range(1, len(found)):  # the first block has no expansion to be narrower than
        kernel = weights.get(f"{prefix}blocks.{i}.depthwise.conv.weight")
        if kernel is not None and kernel.numel():
            found[i] = len(kernel)
    return tuple(found)


def fold_norms(module: nn.Module) -> None:
    """Fold every BatchNorm below `module` into its convolution, in place."""
    for layer in module.modules():
        if isinstance(layer, ConvNorm):
            layer.fold()
