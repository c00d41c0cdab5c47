"""MobileSAM: TinyViT-5M with SAM's own decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_parts import fold_norms
from edgesam_engines.families.tiny_vit import TinyViT


class TinyVitFamily(SamFamily):
    """Families whose image encoder is TinyViT-5M; official files hold its classifier, too."""

    unused = ("image_encoder.head.", "image_encoder.norm_head.")

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """TinyViT-5M has one shape."""
        del weights
        return TinyViT()

    def folded(self, model: SamModel) -> SamModel:
        """With BatchNorm in the convolutions."""
        fold_norms(model.image_encoder)
        return model


class MobileSam(TinyVitFamily):
    """Official file: mobile_sam.pt."""

    name: ClassVar[str] = "mobilesam"
