"""SAM's prompt encoder: points and boxes to tokens, an earlier mask to planes over the image.

Source: Kirillov et al. 2023, "Segment Anything", appendix A. Parameter names are upstream's, so
that official files load as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.families.sam_parts import LayerNorm2d, reshape

DIM = 256
MASK_CHANNELS = 16
KINDS = 4  # labels with a learned vector: 0, 1 and the corners 2, 3
PADDING = -1.0  # a point that is none: SAM adds one where a prompt has no box
ABSENT = -2.0  # fills rows up; takes part in nothing


class PositionalCode(nn.Module):
    """Random Fourier features of positions; the matrix is part of the checkpoint."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, DIM // 2))

    def forward(self, unit_xy: Tensor) -> Tensor:
        """Positions (..., 2) in [0, 1] to (..., 256)."""
        angles = 2 * math.pi * ((2 * unit_xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], -1)


class PromptEncoder(nn.Module):
    """Everything of a prompt that does not need the image.

    Args:
        grid: cells along a side of the image embedding.
        side: of the square that points are given in, px.
    """

    def __init__(self, grid: int, side: int) -> None:
        super().__init__()
        self.grid, self.side = grid, side
        self.pe_layer = PositionalCode()
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, DIM) for _ in range(KINDS))
        self.not_a_point_embed = nn.Embedding(1, DIM)
        self.no_mask_embed = nn.Embedding(1, DIM)
        quarter = MASK_CHANNELS // 4
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, quarter, 2, 2),
            LayerNorm2d(quarter),
            nn.GELU(),
            nn.Conv2d(quarter, MASK_CHANNELS, 2, 2),
            LayerNorm2d(MASK_CHANNELS),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS, DIM, 1),
        )

    def tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        """One token per point or box corner.

        Args:
            coords: (N, P, 2) px of the square of `side`; half a pixel is added, as upstream does.
            labels: (N, P): 0, 1, 2, 3, -1 or -2.

        Returns:
            (N, P, 256); zeros where the label is -2.
        """
        codes: Tensor = self.pe_layer((coords + 0.5) / self.side)
        kinds = torch.tensor([*range(KINDS), PADDING])
        table = torch.cat([*self.point_embeddings.parameters(), self.not_a_point_embed.weight])
        one_hot = (labels.unsqueeze(-1) == kinds).float()
        is_point = (labels.unsqueeze(-1) > PADDING).float()
        return codes * is_point + one_hot @ table

    def image_positions(self) -> Tensor:
        """(grid * grid, 256): codes of the embedding's cells, row by row."""
        centres = (torch.arange(self.grid) + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        codes: Tensor = self.pe_layer(torch.stack([x, y], -1))
        return codes.flatten(0, 1)

    def mask_planes(self, mask_input: Tensor) -> Tensor:
        """An earlier mask as planes that `mask_matrix` turns into what it adds to the embedding.

        Only 16 channels and a constant: with the matrix multiplied into whatever comes next, a mask
        costs next to nothing, and prompts without one share everything else.

        Args:
            mask_input: (R, 1, 4 * grid, 4 * grid) logits.

        Returns:
            (R, grid * grid, 17); the last plane is 1.
        """
        planes = reshape(self.mask_downscaling[:-1](mask_input), 0, MASK_CHANNELS, -1).transpose(
            1, 2
        )
        return functional.pad(planes, (0, 1), value=1.0)

    def mask_matrix(self) -> Tensor:
        """(17, 256): planes to the difference a mask makes to the embedding without one."""
        last = self.mask_downscaling[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        constant = last.bias - self.no_mask_embed.weight[0]
        return torch.cat([last.weight[:, :, 0, 0].T, constant.unsqueeze(0)])
