"""SAM's plain ViT image encoder, of any width: ViT-B, and SlimSAM's pruned forms of it.

Source: Kirillov et al. 2023, "Segment Anything", appendix A; Li et al. 2022, "Exploring Plain
Vision Transformer Backbones for Object Detection", for windows and relative positions. Parameter
names are upstream's. Global attention goes in bands of rows: one band's scores are in memory, not
all 4096 x 4096 of every head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_parts import neck
from edgesam_engines.families.windows import arranged, divided, joined

PATCH = 16
WINDOW = 14
HEADS = 12
EPS = 1e-6
OUT = 256
BAND = 8  # rows of cells whose global attention is computed at once


@dataclass(frozen=True)
class VitShape:
    """What differs between encoders.

    Attributes:
        dim: channels.
        mlp: channels inside the feed-forward layers.
        depth: blocks; every `depth / 4`-th looks at the whole image.
        grid: cells along a side.
    """

    dim: int
    mlp: int
    depth: int
    grid: int

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> VitShape:
        """From a checkpoint; ViT-B's where it does not tell."""
        position = weights.get("image_encoder.pos_embed")
        hidden = weights.get("image_encoder.blocks.0.mlp.lin1.bias")
        blocks = {k.split(".")[2] for k in weights if k.startswith("image_encoder.blocks.")}
        dim, grid = 768, 64
        if position is not None and position.ndim == 4:
            dim, grid = position.shape[3], position.shape[1]
        return cls(dim, len(hidden) if hidden is not None else 4 * dim, len(blocks) or 12, grid)


class Attention(nn.Module):
    """Attention with a bias by the difference of rows and of columns; `side` of what it spans."""

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.head = dim // HEADS
        self.side = side
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, self.head))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, self.head))

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) to the same, within windows of `side` or over the whole map."""
        h, w = (int(n) for n in x.shape[:2])  # int: the trace takes it as a constant
        p = arranged(self.qkv.weight, self.qkv.bias, self.proj, 1.0)
        q = divided(x @ p.query.T + p.query_bias, self.side, self.head)
        k, v = (divided(x @ part.T, self.side, self.head) for part in (p.key, p.value))
        made = self._banded(q, k, v) if self.side == h else self._attend(q, k, v, 0)
        return joined(made, h, w, self.side) @ self.proj.weight.T + p.out_bias

    def _banded(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cells = BAND * self.side
        bands = range(0, self.side, BAND)
        parts = [
            self._attend(q[:, :, r * self.side : r * self.side + cells], k, v, r) for r in bands
        ]
        return torch.cat(parts, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, first: int) -> Tensor:
        """(windows, heads, cells, head) for queries of some rows, the first of them named.

        Args:
            q: (windows, heads, rows * side, head).
            k: (windows, heads, side * side, head).
            v: (windows, heads, side * side, head).
            first: row that `q` begins with.
        """
        side = self.side
        rows = int(q.shape[2]) // side
        by_row, by_column = self._tables()
        grid = q.reshape(*q.shape[:2], rows, side, self.head)
        # (…, rows, columns, head) with each row's, each column's table of (side, head)
        of_rows = grid @ by_row[first : first + rows].transpose(1, 2)
        of_columns = (grid.transpose(2, 3) @ by_column.transpose(1, 2)).transpose(2, 3)
        scores = (q * self.head**-0.5) @ k.transpose(-2, -1)
        scores = scores.view(*scores.shape[:2], rows, side, side, side)
        scores = scores + of_rows.unsqueeze(-1) + of_columns.unsqueeze(-2)
        weights: Tensor = scores.flatten(4).flatten(2, 3).softmax(-1)
        return weights @ v

    def _tables(self) -> tuple[Tensor, Tensor]:
        """(side, side, head) each: vectors of all differences between two rows, two columns."""
        at = torch.arange(self.side)
        differences = at[:, None] - at + self.side - 1
        return self.rel_pos_h[differences], self.rel_pos_w[differences]


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        made: Tensor = self.lin2(self.act(self.lin1(x)))
        return made


class Block(nn.Module):
    """Norm, attention, norm, feed-forward."""

    def __init__(self, shape: VitShape, side: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.dim, EPS)
        self.attn = Attention(shape.dim, side)
        self.norm2 = nn.LayerNorm(shape.dim, EPS)
        self.mlp = FeedForward(shape.dim, shape.mlp)

    def forward(self, x: Tensor) -> Tensor:
        """(H, W, C) to the same."""
        x = x + self.attn(self.norm1(x))
        made: Tensor = x + self.mlp(self.norm2(x))
        return made


class PatchEmbed(nn.Module):
    """One vector per patch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (S / 16, S / 16, C)."""
        made: Tensor = self.proj(x).squeeze(0).permute(1, 2, 0)
        return made


class ImageEncoderViT(nn.Module):
    """The image encoder."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        every = max(1, shape.depth // 4)
        self.patch_embed = PatchEmbed(shape.dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, shape.grid, shape.grid, shape.dim))
        self.blocks = nn.ModuleList(
            Block(shape, WINDOW if (i + 1) % every else shape.grid) for i in range(shape.depth)
        )
        self.neck = neck(shape.dim, OUT)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, S, S) to (1, 256, S / 16, S / 16)."""
        x = self.patch_embed(x) + self.pos_embed[0]
        for block in self.blocks:
            x = block(x)
        made: Tensor = self.neck(x.permute(2, 0, 1).unsqueeze(0))
        return made
