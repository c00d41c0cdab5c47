"""EfficientSAM's prompt encoder and mask decoder: like SAM's, and nowhere the same.

Norms over whole maps, GELU for ReLU, other residuals, no earlier masks, no vector for background
points. Upstream fills every prompt up to six points with ones that are none. These are all alike,
and stay so through every layer; here one stands for all, and counts in each softmax as often as
there are (the logarithm of their number is added to its score). The answers are the same.

Source: Xiong et al. 2023, "EfficientSAM". Parameter names are upstream's.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_attention import ImageToToken, SelfAttention, TokenToImage
from edgesam_engines.families.sam_decoder import LAYERS, MASKS, MLP, UPSCALED, as_maps, upscaled
from edgesam_engines.families.sam_graphs import FAR_BELOW
from edgesam_engines.families.sam_prompts import DIM, PositionalCode

POINTS = 6  # that upstream fills a prompt up to
KINDS = (1.0, 2.0, 3.0)  # labels with a learned vector
NOWHERE = -1.0  # coordinate of those, px


class GeluMlp(nn.Module):
    """Linear layers, a GELU behind all but the last."""

    def __init__(self, hidden: int, out: int, layers: int) -> None:
        super().__init__()
        widths = [DIM, *([hidden] * layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, hidden), nn.GELU()) for a in widths[:layers]
        )
        self.fc = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """(..., 256) to (..., out)."""
        for layer in self.layers:
            x = layer(x)
        made: Tensor = self.fc(x)
        return made


class PromptEncoder(nn.Module):
    """Points and box corners to tokens; `side` of the square they are given in, px."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.pe_layer = PositionalCode()
        self.invalid_points = nn.Embedding(1, DIM)
        self.point_embeddings = nn.Embedding(1, DIM)
        self.bbox_top_left_embeddings = nn.Embedding(1, DIM)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, DIM)

    def forward(self, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and how they count.

        Args:
            coords: (N, P, 2) px of the square.
            labels: (N, P): 1, 2, 3, or less than 0 for entries that fill a row up.

        Returns:
            (N, P + 1, 256), the last one a point that is none, and (N, P + 1) to add to scores.
        """
        kinds = (labels.unsqueeze(-1) == torch.tensor(KINDS)).float()
        given = self._codes(coords) + kinds @ self._table()
        is_given = (labels >= 0).float()
        missing = POINTS - is_given.sum(1, keepdim=True)
        nowhere = self._codes(torch.full((1, 1, 2), NOWHERE)) + self.invalid_points.weight
        counts = torch.cat([is_given, missing], 1)
        return (
            torch.cat([given, nowhere + 0 * given[:, :1]], 1),
            torch.where(counts > 0, counts.clamp(min=1).log(), torch.tensor(FAR_BELOW)),
        )

    def image_positions(self, grid: int) -> Tensor:
        """(grid * grid, 256): codes of the embedding's cells, row by row."""
        centres = (torch.arange(grid) + 0.5) / grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        made: Tensor = self.pe_layer(torch.stack([x, y], -1)).flatten(0, 1)
        return made

    def _codes(self, coords: Tensor) -> Tensor:
        made: Tensor = self.pe_layer((coords + 0.5) / self.side)
        return made

    def _table(self) -> Tensor:
        kinds = (self.point_embeddings, self.bbox_top_left_embeddings)
        return torch.cat([*(k.weight for k in kinds), self.bbox_bottom_right_embeddings.weight])


class TwoWayBlock(nn.Module):
    """Tokens among themselves, tokens to image, feed-forward, image to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention(DIM, DIM)
        self.norm1 = nn.LayerNorm(DIM)
        self.cross_attn_token_to_image = TokenToImage(DIM, DIM // 2)
        self.norm2 = nn.LayerNorm(DIM)
        self.mlp = GeluMlp(MLP, DIM, 1)
        self.norm3 = nn.LayerNorm(DIM)
        self.norm4 = nn.LayerNorm(DIM)
        self.cross_attn_image_to_token = ImageToToken(DIM, DIM // 2)

    def forward(
        self, x: Tensor, codes: Tensor, counts: Tensor, keys: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N, T, C) and the image (N or 1, L, C) to the same; `x` has its codes added."""
        x = self.norm1(x + self.self_attn(x, x, counts))
        placed = keys + positions
        x = self.norm2(x + self.cross_attn_token_to_image(x + codes, keys, placed))
        x = self.norm3(x + self.mlp(x))
        change = self.cross_attn_image_to_token(placed, x + codes, x, counts)
        return x, self.norm4(keys + change)


class TwoWayTransformer(nn.Module):
    """Two blocks and a last look of the tokens at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock() for _ in range(LAYERS))
        self.final_attn_token_to_image = TokenToImage(DIM, DIM // 2)
        self.norm_final_attn = nn.LayerNorm(DIM)

    def forward(
        self, codes: Tensor, counts: Tensor, image: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (N, T, C) and an image (1, L, C) to what becomes of both."""
        x, keys = codes, image
        for i, layer in enumerate(self.layers):
            x, keys = layer(x + codes if i else x, codes, counts, keys, positions)
        seen = self.final_attn_token_to_image(x + codes, keys, keys + positions)
        return self.norm_final_attn(x + seen), keys


class MaskDecoder(nn.Module):
    """Prompt tokens and an image of `grid` cells a side to four masks and predicted IoUs."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, DIM)
        self.mask_tokens = nn.Embedding(MASKS, DIM)
        middle = 2 * UPSCALED
        steps = ((DIM, middle, nn.GroupNorm(1, middle)), (middle, UPSCALED, nn.Identity()))
        self.final_output_upscaling_layers = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(a, b, 2, 2), norm, nn.GELU()) for a, b, norm in steps
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            GeluMlp(DIM, UPSCALED, 2) for _ in range(MASKS)
        )
        self.iou_prediction_head = GeluMlp(DIM, MASKS, 2)

    def forward(
        self, tokens: Tensor, counts: Tensor, image: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Low-resolution logits (N, 4, 256, 256) and predicted IoUs (N, 4)."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        own = own + 0 * tokens[:, :1]
        codes = torch.cat([own, tokens], 1)
        counts = torch.cat([0 * own[..., 0], counts], 1)
        x, keys = self.transformer(codes, counts, image.unsqueeze(0), positions)
        each = [mlp(x[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        return self._paint(keys, torch.stack(each, 2)), self.iou_prediction_head(x[:, 0])

    def _paint(self, keys: Tensor, weights: Tensor) -> Tensor:
        """(N, 4, h, w) from the image (N, L, C) and each mask's weights (N, 32, 4)."""
        (first, norm, act), (second, _, last_act) = (
            tuple(cast(nn.Sequential, layer)) for layer in self.final_output_upscaling_layers
        )
        x = act(_whole_norm(upscaled(keys, cast(nn.ConvTranspose2d, first)), norm))
        x = last_act(upscaled(x, cast(nn.ConvTranspose2d, second)))
        return as_maps(x @ weights, self.grid)


def _whole_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """(N, L, C) by the mean and spread of all its L * C values."""
    assert isinstance(norm, nn.GroupNorm)
    off = x - x.mean((1, 2), keepdim=True)
    spread = (off.square().mean((1, 2), keepdim=True) + norm.eps).sqrt()
    return off / spread * norm.weight + norm.bias
