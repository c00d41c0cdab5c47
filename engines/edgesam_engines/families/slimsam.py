"""SlimSAM: SAM's ViT-B with narrower layers, uniformly pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from edgesam_engines.families.sam import VIT_B
from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_vit import ImageEncoderViT, VitShape


class SlimSam(SamFamily):
    """Official files: SlimSAM-50-uniform.pth, SlimSAM-77-uniform.pth.

    The other official files (without "uniform") are whole pickled modules, which would run code
    when read; they are refused.
    """

    name: ClassVar[str] = "slimsam"

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """As wide as the weights are; those of another depth or grid are another model's."""
        found = VitShape.of(weights)
        return ImageEncoderViT(VitShape(found.dim, found.mlp, VIT_B.depth, VIT_B.grid))
