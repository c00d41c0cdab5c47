"""Models of the SAM family as they are exported: one picture, tensors by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_decoder import ImageSide, MaskDecoder, MaskSide
from edgesam_engines.families.sam_prompts import ABSENT, PromptEncoder

EMBEDDING = ("image_embeddings", "keys_0", "values_0", "queries_0")
ANSWERS = ("low_res_masks", "iou_predictions")
FAR_BELOW = -1e4  # before a softmax: nothing, in half precision too


class SamModel(nn.Module):
    """A published model: attributes and parameters are named as upstream's.

    Args:
        image_encoder: (1, 3, S, S) normalised pixels to (1, 256, grid, grid).
        grid: cells along a side of the embedding.
        prompt_side: of the square that prompts are given in, px.
    """

    def __init__(self, image_encoder: nn.Module, grid: int, prompt_side: int) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(grid, prompt_side)
        self.mask_decoder = MaskDecoder(grid)


class EncoderGraph(nn.Module):
    """The image encoder, and what the decoder needs of its embedding whatever the prompt."""

    def __init__(self, model: SamModel) -> None:
        super().__init__()
        self.image_encoder = model.image_encoder
        self.prompt_encoder = model.prompt_encoder
        self.mask_decoder = model.mask_decoder

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, S, S) to EMBEDDING: (L, 256), (8, 16, L), (8, L, 16), (L, 128)."""
        embedding = self.image_encoder(x).squeeze(0).flatten(1).T
        tokens = embedding + self.prompt_encoder.no_mask_embed.weight
        placed = tokens + self.prompt_encoder.image_positions()
        token_to_image, image_to_token = self.mask_decoder.shared_attentions
        keys, values = token_to_image.of_image(tokens, placed)
        return embedding, keys, values, image_to_token.of_image(placed)


class DecoderGraph(nn.Module):
    """Prompt encoder and mask decoder for N prompts about one picture."""

    positions: Tensor

    def __init__(self, model: SamModel) -> None:
        super().__init__()
        self.prompt_encoder = model.prompt_encoder
        self.mask_decoder = model.mask_decoder
        with torch.no_grad():
            self.register_buffer("positions", model.prompt_encoder.image_positions())

    def forward(
        self,
        embedding: Tensor,
        keys: Tensor,
        values: Tensor,
        queries: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """EMBEDDING and the four prompt tensors of the contract to ANSWERS.

        Labels are the contract's, and -2 for entries that fill a row up: they take part in nothing.
        """
        prompts = self.prompt_encoder
        tokens = prompts.tokens(point_coords, point_labels)
        absent = (point_labels == ABSENT).float() * FAR_BELOW
        planes = prompts.mask_planes(mask_input) * has_mask_input.unsqueeze(-1)
        image = ImageSide(embedding + prompts.no_mask_embed.weight, keys, values, queries)
        made: tuple[Tensor, Tensor] = self.mask_decoder(
            self.mask_decoder.prompt_side(tokens, absent),
            image,
            MaskSide(planes, prompts.mask_matrix()),
            self.positions,
        )
        return made
