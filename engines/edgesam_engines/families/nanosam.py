"""NanoSAM: a ResNet-18 distilled from MobileSAM's encoder, with MobileSAM's decoder.

Two files belong to it: its own checkpoint has the encoder alone, the decoder is MobileSAM's.
Source: NVIDIA-AI-IOT/nanosam, its README. Parameter names are upstream's (timm's, for the trunk).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from msgspec import structs
from torch import Tensor, nn

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.sam_family import DECODER, GRID, PREPROCESS, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_parts import fold_neighbours
from edgesam_rt.manifest import DecoderFacts, Preprocess

WIDTHS = (64, 128, 256, 512)
NECK = 256
ENCODER = "image_encoder."
_SUFFIXES = (".pt", ".pth", ".safetensors")


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


class NanoSam(SamFamily):
    """Official files: the encoder's checkpoint, and mobile_sam.pt, in one folder."""

    name: ClassVar[str] = "nanosam"
    preprocess: ClassVar[Preprocess] = structs.replace(
        PREPROCESS, resample="pil_bicubic", rounding="down"
    )
    decoder: ClassVar[DecoderFacts] = structs.replace(
        DECODER, padding_point=False, ambiguous_answers=(0, 1, 2, 3), clear_answer=None, mask_side=0
    )

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """ResNet-18 has one shape."""
        del weights
        return NanoEncoder()

    def folded(self, model: SamModel) -> SamModel:
        """With BatchNorm in the convolutions."""
        assert isinstance(model.image_encoder, NanoEncoder)
        fold_neighbours(model.image_encoder)
        return model

    def weights(self, checkpoint: Path) -> dict[str, Tensor]:
        """Of both files in a folder: the encoder's own, and the decoder of a MobileSAM.

        Raises:
            CheckpointError: it is no folder, or not with these two.
        """
        found = self._both(checkpoint)
        encoder, mobile = found["nanosam"], found["mobilesam or tinysam"]
        own = {ENCODER + k: v for k, v in encoder.items()}
        return own | {k: v for k, v in mobile.items() if not k.startswith(ENCODER)}

    def _both(self, folder: Path) -> dict[str | None, dict[str, Tensor]]:
        wanted = {"nanosam", "mobilesam or tinysam"}
        files = sorted(p for p in folder.glob("*") if p.suffix in _SUFFIXES)
        read = [read_weights(path) for path in files] if folder.is_dir() else []
        found: dict[str | None, dict[str, Tensor]] = {looks_like(w): w for w in read}
        if len(read) != len(wanted) or not wanted <= found.keys():
            seen = ", ".join(
                f"{p.name} ({looks_like(w)})" for p, w in zip(files, read, strict=False)
            )
            raise CheckpointError(
                f"checkpoint {folder}: expected a folder with two files, NanoSAM's encoder and "
                f"mobile_sam.pt, whose decoder it uses; got {seen or 'no such folder'}."
            )
        return found
