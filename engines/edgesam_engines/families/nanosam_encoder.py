"""NanoSAM's image encoder. Parameter names are upstream's (timm's, for the trunk).

Source: NVIDIA-AI-IOT/nanosam, its README.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_family import GRID

WIDTHS = (64, 128, 256, 512)
NECK = 256


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 where the shape changes."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        stride = 1 if channels == out else 2
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (1, C', H / stride, W / stride)."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet18(nn.Module):
    """The trunk, up to its last map: 512 channels at a 32nd of the side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = WIDTHS[0]
        for i, width in enumerate(WIDTHS, 1):
            stage = nn.Sequential(BasicBlock(before, width), BasicBlock(width, width))
            self.add_module(f"layer{i}", stage)
            before = width

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (1, 512, S / 32, S / 32)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for i, _ in enumerate(WIDTHS, 1):
            x = getattr(self, f"layer{i}")(x)
        return x


class NanoEncoder(nn.Module):
    """Trunk, neck that doubles the grid, projection, a learned map of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet18()
        self.up_1 = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], NECK, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(NECK, NECK, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(NECK, NECK, 3, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(NECK, NECK, 3, 2, 1, 1),
            nn.GELU(),
        )
        self.proj = nn.Sequential(
            nn.Conv2d(NECK, NECK, 3, padding=1), nn.GELU(), nn.Conv2d(NECK, 256, 1)
        )
        self.pos_embedding = nn.Parameter(torch.zeros(1, 256, GRID, GRID))

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (1, 256, S / 16, S / 16)."""
        made: Tensor = self.proj(self.up_1(self.backbone(x))) + self.pos_embedding
        return made
