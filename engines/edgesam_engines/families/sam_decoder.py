"""SAM's two-way transformer and mask decoder, exact, with the image's share done once.

Upstream copies the image for every prompt and projects it ten times: 1.81 G multiply-adds for one
point. Here it is 0.86 G (see `sam_attention.py`), and channels stay last throughout, so that the
transposed convolutions are matrix products. Parameter names are upstream's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.families.sam_attention import ImageToToken, SelfAttention, TokenToImage
from edgesam_engines.families.sam_parts import LayerNorm2d, Mlp, reshape
from edgesam_engines.families.sam_prompts import DIM

MASKS = 4  # one for clear prompts, three for ambiguous ones
LAYERS = 2
MLP = 2048
UPSCALED = 32  # channels of the finest map


class ImageSide(NamedTuple):
    """What of an image serves all prompts.

    Attributes:
        tokens: (L, C), the embedding with "no mask" added.
        keys, values: of the first layer's token-to-image attention, (H, D, L) and (H, L, D).
        queries: of its image-to-token attention, (L, H * D), without the bias.
    """

    tokens: Tensor
    keys: Tensor
    values: Tensor
    queries: Tensor


class MaskSide(NamedTuple):
    """What earlier masks change of it.

    Attributes:
        planes: (N, L, 17), zeros for prompts without a mask.
        added: (17, C), what each plane adds to the embedding.
    """

    planes: Tensor
    added: Tensor


class PromptSide(NamedTuple):
    """The tokens of N prompts.

    Attributes:
        tokens: (N, T, C), also their own positional codes.
        absent: (N, T), 0 or a very negative number for tokens that are not there.
    """

    tokens: Tensor
    absent: Tensor


class FeedForward(nn.Module):
    """Two layers with a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(DIM, MLP)
        self.lin2 = nn.Linear(MLP, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        made: Tensor = self.lin2(functional.relu(self.lin1(x)))
        return made


class TwoWayBlock(nn.Module):
    """Tokens among themselves, tokens to image, feed-forward, image to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention(DIM, DIM)
        self.norm1 = nn.LayerNorm(DIM)
        self.cross_attn_token_to_image = TokenToImage(DIM, DIM // 2)
        self.norm2 = nn.LayerNorm(DIM)
        self.mlp = FeedForward()
        self.norm3 = nn.LayerNorm(DIM)
        self.norm4 = nn.LayerNorm(DIM)
        self.cross_attn_image_to_token = ImageToToken(DIM, DIM // 2)

    def first(
        self, prompts: PromptSide, image: ImageSide, masks: MaskSide
    ) -> tuple[Tensor, Tensor]:
        """The first block: tokens (N, T, C) and the image (N, L, C) that follow from it."""
        codes, absent = prompts
        x = self.norm1(self.self_attn(codes, codes, absent))
        seen = self.cross_attn_token_to_image.shared(
            x + codes, image.keys, image.values, masks.planes, masks.added
        )
        x = self.norm2(x + seen)
        x = self.norm3(x + self.mlp(x))
        to_image = self.cross_attn_image_to_token
        weights = to_image.shared_weights(
            image.queries, x + codes, absent, masks.planes, masks.added
        )
        # One product adds both what the tokens give and what the masks do.
        sources = torch.cat([to_image.seen(x), masks.added + 0 * x[:, :1]], 1)
        change = torch.cat([weights, masks.planes], 2) @ sources
        return x, self.norm4(image.tokens + to_image.out_proj.bias + change)

    def forward(
        self, x: Tensor, prompts: PromptSide, keys: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A later block: tokens (N, T, C) and image (N, L, C) to the same."""
        codes, absent = prompts
        x = self.norm1(x + self.self_attn(x + codes, x, absent))
        placed = keys + positions
        x = self.norm2(x + self.cross_attn_token_to_image(x + codes, keys, placed))
        x = self.norm3(x + self.mlp(x))
        change = self.cross_attn_image_to_token(placed, x + codes, x, absent)
        return x, self.norm4(keys + change)


class TwoWayTransformer(nn.Module):
    """Two blocks and a last look of the tokens at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock() for _ in range(LAYERS))
        self.final_attn_token_to_image = TokenToImage(DIM, DIM // 2)
        self.norm_final_attn = nn.LayerNorm(DIM)

    @property
    def first(self) -> TwoWayBlock:
        """The block whose image is the same for all prompts."""
        block = self.layers[0]
        assert isinstance(block, TwoWayBlock)
        return block

    def forward(
        self, prompts: PromptSide, image: ImageSide, masks: MaskSide, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N, T, C) and image (N, L, C); `positions` are codes of its cells, (L, C)."""
        x, keys = self.first.first(prompts, image, masks)
        for layer in list(self.layers)[1:]:
            x, keys = layer(x, prompts, keys, positions)
        seen = self.final_attn_token_to_image(x + prompts.tokens, keys, keys + positions)
        return self.norm_final_attn(x + seen), keys


class MaskDecoder(nn.Module):
    """Prompt tokens and an image of grid x grid cells to four masks and their predicted IoUs."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, DIM)
        self.mask_tokens = nn.Embedding(MASKS, DIM)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(DIM, 2 * UPSCALED, 2, 2),
            LayerNorm2d(2 * UPSCALED),
            nn.GELU(),
            nn.ConvTranspose2d(2 * UPSCALED, UPSCALED, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Mlp(DIM, DIM, DIM, UPSCALED) for _ in range(MASKS)
        )
        self.iou_prediction_head = Mlp(DIM, DIM, DIM, MASKS)

    @property
    def shared_attentions(self) -> tuple[TokenToImage, ImageToToken]:
        """Those whose image side is the same for all prompts."""
        block = self.transformer.first
        return block.cross_attn_token_to_image, block.cross_attn_image_to_token

    def prompt_side(self, tokens: Tensor, absent: Tensor) -> PromptSide:
        """A prompt's tokens (N, P, C), absent (N, P), behind the decoder's own five."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        return PromptSide(
            torch.cat([own + 0 * tokens[:, :1], tokens], 1),
            torch.cat([torch.zeros(len(own)) + 0 * absent[:, :1], absent], 1),
        )

    def forward(
        self, prompts: PromptSide, image: ImageSide, masks: MaskSide, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Low-resolution logits (N, 4, 4 * grid, 4 * grid) and predicted IoUs (N, 4)."""
        tokens, keys = self.transformer(prompts, image, masks, positions)
        each = [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        return self._paint(keys, torch.stack(each, 2)), self.iou_prediction_head(tokens[:, 0])

    def _paint(self, keys: Tensor, weights: Tensor) -> Tensor:
        """(N, 4, h, w) from the image (N, L, C) and each mask's weights (N, 32, 4)."""
        first, norm, act, second, last_act = self.output_upscaling
        assert isinstance(first, nn.ConvTranspose2d)
        assert isinstance(second, nn.ConvTranspose2d)
        assert isinstance(norm, LayerNorm2d)
        x = upscaled(keys, first)
        x = act(functional.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps))
        return as_maps(last_act(upscaled(x, second)) @ weights, self.grid)


def as_maps(x: Tensor, grid: int) -> Tensor:
    """(N, 16 L, 4) to (N, 4, 4 * grid, 4 * grid).

    Cells come first, then the 2x2 parts of a cell, then the 2x2 parts of those; masks last.
    """
    x = reshape(x, -1, grid, grid, 2, 2, 2, 2, MASKS).permute(0, 7, 1, 3, 5, 2, 4, 6)
    return reshape(x, -1, MASKS, 4 * grid, 4 * grid)


def upscaled(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A 2x2 transposed convolution of stride 2 as a product: (N, L, C) to (N, 4 L, C')."""
    weight = layer.weight.permute(0, 2, 3, 1).flatten(1)
    assert layer.bias is not None
    return reshape(x @ weight + layer.bias.repeat(4), 0, -1, layer.out_channels)
