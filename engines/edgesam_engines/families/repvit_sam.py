"""RepViT-SAM: RepViT-M2.3 that stays at stride 16, and SAM's decoder.

Source: Wang et al. 2023, "RepViT-SAM: Towards Real-Time Segmenting Anything".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from edgesam_engines.families import repvit
from edgesam_engines.families.repvit import BlockRow, OuterNormMixer
from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_parts import neck
from edgesam_engines.families.sam_prompts import DIM

# Per stage: channels, stride of its first block, and which of its blocks have squeeze-excite.
STAGES = (
    (80, 1, (*([1, 0] * 3), 0)),
    (160, 2, (0, *([1, 0] * 3), 0)),
    (320, 2, (0, *([1, 0] * 17), 0)),
    (640, 1, (0, 1, 0)),
)


class RepVitSamEncoder(nn.Module):
    """(B, 3, S, S) normalised to (B, 256, S / 16, S / 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = repvit.features(rows(), OuterNormMixer)
        self.neck = neck(STAGES[-1][0], DIM)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for block in self.features:
            x = block(x)
        return cast(Tensor, self.neck(x))


class RepVitSam(SamFamily):
    """See the module."""

    name = "repvit-sam"

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """RepViT-M2.3."""
        return RepVitSamEncoder()

    def folded(self, model: SamModel) -> SamModel:
        """With branches and norms folded into single convolutions."""
        repvit.fuse(model.image_encoder)
        return model


def rows() -> list[BlockRow]:
    """The blocks in order."""
    return [
        BlockRow(channels, bool(excite), 1 if index else stride)
        for channels, stride, flags in STAGES
        for index, excite in enumerate(flags)
    ]
