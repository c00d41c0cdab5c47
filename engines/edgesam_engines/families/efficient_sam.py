"""EfficientSAM (ViT-Tiny and ViT-Small): pictures squashed to a square, a decoder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import msgspec
import torch
from torch import Tensor, nn

from edgesam_engines.checkpoints import load_strictly, read_weights
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.efficient_sam_decoder import POINTS, MaskDecoder, PromptEncoder
from edgesam_engines.families.efficient_sam_vit import GRID, EfficientSamEncoder, PlainVitShape
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.sam_family import DECODER, PREPROCESS, PROMPT_AXES, SIDE
from edgesam_engines.families.sam_graphs import ANSWERS
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import DecoderFacts, Part, Preprocess

EMBEDDING = "image_embeddings"
_BYTE = 255


class EfficientSamModel(nn.Module):
    """A published model: attributes and parameters are named as upstream's."""

    def __init__(self, shape: PlainVitShape) -> None:
        super().__init__()
        self.image_encoder = EfficientSamEncoder(shape)
        self.prompt_encoder = PromptEncoder(SIDE)
        self.mask_decoder = MaskDecoder(GRID)


class EncoderGraph(nn.Module):
    """(1, 3, S, S) to (L, 256)."""

    def __init__(self, model: EfficientSamModel) -> None:
        super().__init__()
        self.image_encoder = model.image_encoder

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        made: Tensor = self.image_encoder(x)
        return made[0].flatten(1).T


class DecoderGraph(nn.Module):
    """The contract's inputs to its answers; earlier masks are taken and not looked at."""

    positions: Tensor

    def __init__(self, model: EfficientSamModel) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = model.prompt_encoder, model.mask_decoder
        with torch.no_grad():
            self.register_buffer("positions", model.prompt_encoder.image_positions(GRID))

    def forward(
        self,
        embedding: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The embedding and the four prompt tensors of the contract to ANSWERS."""
        del mask_input, has_mask_input
        tokens, counts = self.prompt_encoder(point_coords, point_labels)
        masks, iou = self.mask_decoder(tokens, counts, embedding, self.positions)
        return masks, iou


class EfficientSam:
    """Official files: efficient_sam_vitt.pt, efficient_sam_vits.pt."""

    name = "efficient-sam"
    preprocess: ClassVar[Preprocess] = msgspec.structs.replace(
        PREPROCESS,
        resize="squash",
        resample="linear_unrounded",
        mean=(0.485 * _BYTE, 0.456 * _BYTE, 0.406 * _BYTE),
        std=(0.229 * _BYTE, 0.224 * _BYTE, 0.225 * _BYTE),
    )
    decoder: ClassVar[DecoderFacts] = msgspec.structs.replace(
        DECODER,
        clear_answer=None,
        points_per_prompt=POINTS,
        padding_point=False,
        filler_label=-1,
        mask_side=0,
        background_points=False,
        earlier_masks=False,
    )
    layouts: ClassVar[Mapping[str, str]] = {EMBEDDING: f"yx{SIDE // GRID}_c"}

    def load(self, checkpoint: Path) -> nn.Module:
        """Read an official checkpoint; the module is in eval mode on the CPU.

        Raises:
            CheckpointError: it is not a checkpoint of this family.
        """
        weights = read_weights(checkpoint)
        model = EfficientSamModel(PlainVitShape.of(weights))
        load_strictly(model, weights, checkpoint, self.name, looks_like(weights))
        return model.eval().requires_grad_(False)

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        """The encoder; one form for all precisions."""
        assert isinstance(model, EfficientSamModel)
        if side != SIDE:
            raise ConfigError(f"encoder side {side}: {self.name} is made for {SIDE} only.")
        picture = torch.zeros(1, 3, side, side)
        graph = EncoderGraph(model).eval()
        return GraphSpec(graph, {"pixels": picture}, (EMBEDDING,), keep_float=(EMBEDDING,))

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """One `decoder`."""
        assert isinstance(model, EfficientSamModel)
        count, low = 3, 4 * GRID
        inputs = {
            EMBEDDING: torch.zeros(GRID**2, 256),
            "point_coords": torch.rand(count, 2, 2) * SIDE,
            "point_labels": torch.ones(count, 2),
            "mask_input": torch.zeros(count, 1, low, low),
            "has_mask_input": torch.zeros(count, 1),
        }
        free = {**PROMPT_AXES, **{name: {0: "prompts"} for name in ANSWERS}}
        return {"decoder": GraphSpec(DecoderGraph(model).eval(), inputs, ANSWERS, free)}
