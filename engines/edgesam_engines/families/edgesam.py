"""EdgeSAM: RepViT-M1 whose last two stages are summed at stride 16, and SAM's decoder.

Source: Zhou et al. 2023, "EdgeSAM: Prompt-In-the-Loop Distillation for On-Device Deployment
of SAM".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, cast

import torch
from msgspec import structs
from torch import Tensor, nn

from edgesam_engines.families import repvit
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.bicubic import enlarged
from edgesam_engines.families.repvit import BlockRow, InnerNormMixer
from edgesam_engines.families.sam_family import DECODER, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_parts import neck
from edgesam_engines.families.sam_prompts import DIM
from edgesam_rt.manifest import DecoderFacts, Part

# Per stage: channels, and which of its blocks have squeeze-excite.
STAGES = (
    (48, (1, 0, 0)),
    (96, (0, 1, 0, 0)),
    (192, (0, *([1, 0] * 7), 0)),
    (384, (0, 1, 0)),
)
FINE, COARSE = 2, 3  # stages that are summed
OFFSET = 1.0  # of the stability score, logits to both sides of the cut at 0


class EdgeSamEncoder(nn.Module):
    """(B, 3, S, S) normalised to (B, 256, S / 16, S / 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = repvit.features(rows(), InnerNormMixer)
        self.fuse_stage2 = nn.Conv2d(STAGES[FINE][0], DIM, 1, bias=False)
        self.fuse_stage3 = Doubled(STAGES[COARSE][0], DIM)
        self.neck = neck(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        last = len(self.features) - len(STAGES[COARSE][1])
        for block in self.features[:last]:
            x = block(x)
        coarse = x
        for block in self.features[last:]:
            coarse = block(coarse)
        return cast(Tensor, self.neck(self.fuse_stage2(x) + self.fuse_stage3(coarse)))

    def fuse(self) -> None:
        """Make one convolution of what is one, in place; the values stay."""
        repvit.fuse(self)
        first = cast(nn.Conv2d, self.neck[0]).weight[:, :, 0, 0]
        for lateral in (self.fuse_stage2, *self.fuse_stage3.op_list):
            with torch.no_grad():
                lateral.weight.copy_((first @ lateral.weight[:, :, 0, 0])[:, :, None, None])
        self.neck[0] = nn.Identity()


class Doubled(nn.Module):
    """A 1x1 convolution, and its map doubled in size."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.op_list = nn.ModuleList([nn.Conv2d(cin, cout, 1, bias=False)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, S, S) to (B, cout, 2 S, 2 S)."""
        return enlarged(self.op_list[0](x), 2 * int(x.shape[2]))


class ByStability(nn.Module):
    """A decoder whose scores are how stable its masks are: its head for them was not distilled.

    Its authors rank answers so, and give why (their `use_stability_score`).
    """

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder takes to (N, M, h, w) logits and (N, M) scores."""
        low_res, _ = self.graph(*given)
        return low_res, stability(low_res)


def stability(logits: Tensor) -> Tensor:
    """(N, M, h, w) to (N, M) in [0, 1]: IoU of the masks cut above and below 0; 0 if empty."""
    sure, wide = ((logits > cut).float().sum((2, 3)) for cut in (OFFSET, -OFFSET))
    return sure / wide.clamp(min=1.0)


class EdgeSam(SamFamily):
    """Official files: edge_sam.pth, edge_sam_3x.pth."""

    name: ClassVar[str] = "edgesam"
    decoder: ClassVar[DecoderFacts] = structs.replace(DECODER, score_kind="stability")
    unused: ClassVar[tuple[str, ...]] = ("fpn.", "rpn_head.")  # of files with box proposals

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """RepViT-M1."""
        return EdgeSamEncoder()

    def folded(self, model: SamModel) -> SamModel:
        """With branches and norms folded into single convolutions."""
        assert isinstance(model.image_encoder, EdgeSamEncoder)
        model.image_encoder.fuse()
        return model

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """One `decoder`, with stability for scores."""
        spec = super().decoder_graphs(model, side, whole=whole)["decoder"]
        return {"decoder": replace(spec, module=ByStability(spec.module).eval())}


def rows() -> list[BlockRow]:
    """The blocks in order; the first one of every later stage halves the sides."""
    return [
        BlockRow(channels, bool(excite), 2 if stage and not index else 1)
        for stage, (channels, flags) in enumerate(STAGES)
        for index, excite in enumerate(flags)
    ]
