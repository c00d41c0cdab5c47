"""The head: PocketSAM's two feature grids to a box and a score for every cell of three strides.

Anchor-free, as FCOS (Tian et al. 2019): a cell gives its distances to the four sides of the box.
Coarser strides pass what they saw down to finer ones, so few layers see far.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.checkpoints import load_strictly, read_safetensors
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.pocketsam_parts import Widths, cell_centres, longest
from edgesam_rt.detector_manifest import BOXES, SCORES

FEATURES = Widths().dim
CELLS = (1, 2, 4)  # of grid8 along a side of each level's cells
KERNELS = (3, 5, 5)  # the finest level has most cells, and is told the rest by the coarser ones
_PER_CELL = 5  # four distances and the score
_FIRST_DISTANCE = 0.7  # log of cells: boxes begin four cells wide
_RARE = -4.0  # score logit before training: nearly all cells are empty
_FARTHEST = 5.0  # log of cells
LAYOUTS = {"grid16": "yx16_c", "grid8": "y8_x8_c", BOXES: "n_xyxy", SCORES: "n"}


class Block(nn.Module):
    """Residual depthwise-separable block that ends in ReLU."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.pointwise = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, covered: Tensor | None) -> Tensor:
        """(B, C, h, w) to the same shape; zero where not `covered` (B, 1, h, w)."""
        y = F.relu(x + self.pointwise(F.relu(self.depthwise(x))))
        return y if covered is None else y * covered


class DiscoveryHead(nn.Module):
    """See the file."""

    def __init__(self, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.squeeze16 = nn.Linear(FEATURES, width)
        self.squeeze8 = nn.Linear(FEATURES, width)
        self.towers = nn.ModuleList(
            nn.ModuleList(Block(width, kernel) for _ in range(count))
            for kernel, count in zip(KERNELS, blocks, strict=True)
        )
        self.out = nn.ModuleList(nn.Conv2d(width, _PER_CELL, 1) for _ in CELLS)
        for layer in self.out:
            conv = cast(nn.Conv2d, layer)
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.constant_(cast(Tensor, conv.bias), _FIRST_DISTANCE)
            nn.init.constant_(cast(Tensor, conv.bias)[-1:], _RARE)

    @classmethod
    def of_weights(cls, weights: dict[str, Tensor]) -> DiscoveryHead:
        """A head of the sizes that some weights have."""
        width = weights["squeeze8.weight"].shape[0] if "squeeze8.weight" in weights else 1
        blocks = [
            len({name.split(".")[2] for name in weights if name.startswith(f"towers.{level}.")})
            for level in range(len(CELLS))
        ]
        return cls(width, blocks)

    def forward(self, grid16: Tensor, grid8: Tensor, covered: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            grid16: (B, h8 / 2, w8 / 2, D).
            grid8: (B, h8, w8, D).
            covered: (B, 1, h8, w8) 1 where the picture is, 0 where a batch was filled up; None: all
                of it.

        Returns:
            (B, N, 5): logs of the distances to left, top, right and bottom in cells of their level,
            and score logits; the cells of stride 8 by rows, then those of 16, then those of 32.
        """
        masks: list[Tensor | None] = [None, None, None]
        if covered is not None:
            masks = [covered, *(F.max_pool2d(covered, n) for n in CELLS[1:])]
        x16 = _masked(F.relu(self.squeeze16(grid16)).permute(0, 3, 1, 2), masks[1])
        x8 = _masked(F.relu(self.squeeze8(grid8)).permute(0, 3, 1, 2), masks[0])
        levels = [x8, x16, F.avg_pool2d(x16, 2)]
        made: list[Tensor] = []
        for level in (2, 1, 0):
            x = levels[level]
            if made:
                x = x + F.interpolate(made[-1], scale_factor=2.0, mode="nearest")
            for block in cast(nn.ModuleList, self.towers[level]):
                x = block(x, masks[level])
            made.append(x)
        flat = [out(x).flatten(2) for out, x in zip(self.out, made[::-1], strict=True)]
        return torch.cat(flat, 2).transpose(1, 2)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def cells(h8: int, w8: int, side8: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Of all cells: centres (N, 2) x, y, and sides (N, 1), in encoder sides."""
    centres, sizes = [], []
    for n in CELLS:
        h, w, side = h8 // n, w8 // n, side8 // n
        xs, ys = cell_centres(w, side, like), cell_centres(h, side, like)
        both = torch.stack([xs.expand(h, w), ys.unsqueeze(-1).expand(h, w)], -1)
        centres.append(both.reshape(-1, 2))
        sizes.append(torch.ones_like(centres[-1][:, :1]) / side)
    return torch.cat(centres), torch.cat(sizes)


def boxes_of(distances: Tensor, centres: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (..., N, 4) in encoder sides, from logs of distances in cells (..., N, 4)."""
    away = torch.exp(distances.clamp(max=_FARTHEST)) * sizes
    return torch.cat([centres - away[..., :2], centres + away[..., 2:]], -1)


class DiscoveryGraph(nn.Module):
    """The head as it is exported: one picture's grids to boxes and scores."""

    def __init__(self, head: DiscoveryHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, grid16: Tensor, grid8: Tensor) -> tuple[Tensor, Tensor]:
        """(h16 * w16, D) and (h8, w8, D) to boxes (N, 4) in encoder sides and scores (N,)."""
        h, w = grid8.shape[:2]
        found = self.head(grid16.view(1, h // 2, w // 2, FEATURES), grid8.unsqueeze(0)).squeeze(0)
        centres, sizes = cells(h, w, longest(h, w), grid8)
        distances, scores = torch.split(found, [_PER_CELL - 1, 1], -1)
        return boxes_of(distances, centres, sizes), torch.sigmoid(scores).squeeze(-1)


def graph_spec(head: DiscoveryHead) -> GraphSpec:
    """What to export; rows and columns are free, as embeddings are cut to the picture."""
    return GraphSpec(
        DiscoveryGraph(head).eval(),
        {"grid16": torch.zeros(6 * 8, FEATURES), "grid8": torch.zeros(12, 16, FEATURES)},
        (BOXES, SCORES),
        {
            "grid16": {0: "cells16"},
            "grid8": {0: "rows8", 1: "columns8"},
            BOXES: {0: "places"},
            SCORES: {0: "places"},
        },
    )


def read_head(checkpoint: Path) -> DiscoveryHead:
    """Read a head, in eval mode.

    Raises:
        CheckpointError: the file holds none.
    """
    weights = read_safetensors(checkpoint)
    head = DiscoveryHead.of_weights(weights)
    load_strictly(head, weights, checkpoint, "a discovery head")
    return head.eval()


def multiply_adds(width: int, blocks: Sequence[int], h8: int, w8: int) -> int:
    """Of one picture whose grid8 has so many rows and columns."""
    total = 0
    for n, kernel, count in zip(CELLS, KERNELS, blocks, strict=True):
        per_block = width * (kernel * kernel + width)
        squeeze = FEATURES * width if n < CELLS[-1] else 0
        total += (h8 // n) * (w8 // n) * (squeeze + count * per_block + _PER_CELL * width)
    return total
