"""EfficientViT-SAM: L0, L1, L2 with pictures at 512 and prompts in SAM's 1024; XL0, XL1 at 1024.

Source: Zhang et al. 2024, "EfficientViT-SAM: Accelerated Segment Anything Model Without Performance
Loss".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec
from torch import Tensor, nn

from edgesam_engines.families.efficientvit import XL, Depths, EfficientVitEncoder, L, Variant
from edgesam_engines.families.sam_family import DECODER, GRID, SamFamily
from edgesam_engines.families.sam_family import SIDE as SAM_SIDE
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_rt.manifest import DecoderFacts

SIDE = 512
L0, XL0 = Depths((1, 1, 1, 4, 4), 4), Depths((0, 1, 1, 2, 3, 3), 6)
NORM_EPS = 1e-6  # of every norm, the decoder's too: upstream sets it when it builds the model


class EfficientVitSam(SamFamily):
    """Official files: efficientvit_sam_l0.pt, efficientvit_sam_l1.pt, efficientvit_sam_l2.pt.

    Attributes:
        variant: what its encoders have in common.
        smallest: depths where the weights do not tell.
    """

    name: ClassVar[str] = "efficientvit-sam"
    side: ClassVar[int] = SIDE
    variant: ClassVar[Variant] = L
    smallest: ClassVar[Depths] = L0
    decoder: ClassVar[DecoderFacts] = msgspec.structs.replace(
        DECODER, mask_stride=SIDE // (4 * GRID)
    )

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """As deep as the weights are."""
        if not any(name.startswith("image_encoder.backbone.") for name in weights):
            return EfficientVitEncoder(self.variant, self.smallest)
        stages = [
            _highest(weights, rf"image_encoder\.backbone\.stages\.{i}\.op_list\.(\d+)\.")
            for i in range(1 + len(self.variant.stages))
        ]
        neck = 1 + _highest(weights, r"image_encoder\.neck\.middle\.op_list\.(\d+)\.")
        return EfficientVitEncoder(self.variant, Depths(tuple(stages), neck))

    def folded(self, model: SamModel) -> SamModel:
        """With norms in the convolutions, after each has its epsilon."""
        for layer in model.modules():
            if isinstance(layer, (nn.LayerNorm, nn.BatchNorm2d)):
                layer.eps = NORM_EPS
        assert isinstance(model.image_encoder, EfficientVitEncoder)
        model.image_encoder.fold()
        return model


class EfficientVitSamXl(EfficientVitSam):
    """Official files: efficientvit_sam_xl0.pt, efficientvit_sam_xl1.pt."""

    name: ClassVar[str] = "efficientvit-sam-xl"
    side: ClassVar[int] = SAM_SIDE
    decoder: ClassVar[DecoderFacts] = DECODER
    variant: ClassVar[Variant] = XL
    smallest: ClassVar[Depths] = XL0


def _highest(weights: Mapping[str, Tensor], pattern: str) -> int:
    """The largest number that a pattern finds in the weights' names; 0 if it finds none."""
    found = (re.match(pattern, name) for name in weights)
    return max((int(m.group(1)) for m in found if m), default=0)
