"""EfficientSAM's image encoder: a plain ViT whose every block looks at the whole image.

Source: Xiong et al. 2023, "EfficientSAM: Leveraged Masked Image Pretraining for Efficient Segment
Anything". Parameter names are upstream's. Attention goes in bands of cells: one band's scores are
in memory, not all 4096 x 4096 of every head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from edgesam_engines.families.bicubic import enlarged
from edgesam_engines.families.sam_parts import neck
from edgesam_engines.families.sam_prompts import DIM
from edgesam_engines.families.windows import arranged

PATCH = 16
TINY, DEPTH = 192, 12  # of ViT-Tiny: channels, blocks
HEAD = 64  # channels of an attention head
EPS = 1e-6
GRID = 64
TRAINED_GRID = 14  # cells along a side of the table of positions
BAND = 512  # cells whose attention is computed at once


@dataclass(frozen=True)
class PlainVitShape:
    """What differs between ViT-Tiny and ViT-Small."""

    dim: int
    depth: int

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> PlainVitShape:
        """From a checkpoint; ViT-Tiny's where it does not tell."""
        position = weights.get("image_encoder.pos_embed")
        blocks = {k.split(".")[2] for k in weights if k.startswith("image_encoder.blocks.")}
        if position is None or position.ndim != 3 or position.shape[2] % HEAD:
            return cls(TINY, len(blocks) or DEPTH)
        return cls(int(position.shape[2]), len(blocks) or DEPTH)


class Attention(nn.Module):
    """Among all cells."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(L, C) to the same."""
        p = arranged(self.qkv.weight, self.qkv.bias, self.proj, HEAD**-0.5)
        q = _by_head(x @ p.query.T + p.query_bias)
        k, v = _by_head(x @ p.key.T).transpose(1, 2), _by_head(x @ p.value.T)
        bands = [(band @ k).softmax(-1) @ v for band in torch.split(q, BAND, 1)]
        return torch.cat(bands, 1).transpose(0, 1).flatten(1) @ self.proj.weight.T + p.out_bias


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(L, C) to the same."""
        return cast(Tensor, self.fc2(self.act(self.fc1(x))))


class Block(nn.Module):
    """Norm, attention, norm, feed-forward."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, EPS)
        self.attn = Attention(dim)
        self.norm2 = nn.LayerNorm(dim, EPS)
        self.mlp = FeedForward(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(L, C) to the same."""
        x = x + self.attn(self.norm1(x))
        return cast(Tensor, x + self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Squares of pixels to cells."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (L, C)."""
        return cast(Tensor, self.proj(x))[0].flatten(1).T


class EfficientSamEncoder(nn.Module):
    """(1, 3, 1024, 1024) normalised to (1, 256, 64, 64)."""

    def __init__(self, shape: PlainVitShape) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(shape.dim)
        # The first entry was a class token's.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_GRID**2, shape.dim))
        self.blocks = nn.ModuleList(Block(shape.dim) for _ in range(shape.depth))
        self.neck = neck(shape.dim, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        cells = self.patch_embed(x) + self._positions()
        for block in self.blocks:
            cells = block(cells)
        return cast(Tensor, self.neck(cells.T.reshape(1, -1, GRID, GRID)))

    def _positions(self) -> Tensor:
        """(L, C): the table, at this grid."""
        table = self.pos_embed[:, 1:].reshape(1, TRAINED_GRID, TRAINED_GRID, -1)
        return enlarged(table.permute(0, 3, 1, 2), GRID)[0].flatten(1).T


def _by_head(x: Tensor) -> Tensor:
    """(L, C) to (heads, L, HEAD)."""
    return x.reshape(len(x), -1, HEAD).transpose(0, 1)
