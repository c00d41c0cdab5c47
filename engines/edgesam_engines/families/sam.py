"""SAM itself, with the ViT-B encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_vit import ImageEncoderViT, VitShape

VIT_B = VitShape(dim=768, mlp=3072, depth=12, grid=64)


class Sam(SamFamily):
    """Official file: sam_vit_b_01ec64.pth."""

    name: ClassVar[str] = "sam"

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """ViT-B, whatever the weights: larger ones do not fit a board."""
        del weights
        return ImageEncoderViT(VIT_B)
