"""What PocketSAM's encoder and decoder share: sizes, labels, the values between them, positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from edgesam_engines.families.lite0 import HIDDEN

MASKS = 4  # token 0 answers clear prompts, tokens 1 to 3 an ambiguous point
MASK_STRIDE = 4  # encoder px per cell of a mask
COARSEST = 32  # encoder px per cell of the keys and values
TRAINED_TOKENS = 5  # points and box corners per prompt in training
_NOTHING = 1e4  # the negative of it is a logit that no mask reaches
PAD_LABEL, BACKGROUND, FOREGROUND, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3


@dataclass(frozen=True)
class Widths:
    """The sizes that define one member of the family."""

    dim: int = 128
    pyramid: int = 96
    pixel: int = 32
    layers: int = 3
    heads: int = 4
    mask_hidden: int = 8
    trunk: tuple[int, ...] = HIDDEN  # channels inside its blocks


class Embedding(NamedTuple):
    """What the encoder makes of B images; all that a prompt needs."""

    keys: Tensor  # (B, L, H, D/H, h32*w32)
    values: Tensor  # (B, L, H, h32*w32, D/H)
    grid16: Tensor  # (B, h*w, D)
    grid8: Tensor  # (B, h8, w8, D)
    pixels: Tensor  # (B, C, h4, w4)

    def cut(self, inner_wh: tuple[int, int]) -> Embedding:
        """The cells that a picture covers in its square; the padding is not looked at again.

        Args:
            inner_wh: width and height of the picture in the square, encoder px.
        """
        side32 = self.pixels.shape[-1] * MASK_STRIDE // COARSEST
        w, h = (-(-n // COARSEST) for n in inner_wh)
        b, layers, heads, d, _ = self.keys.shape
        keys = self.keys.reshape(b, layers, heads, d, side32, side32)
        values = self.values.reshape(b, layers, heads, side32, side32, d)
        grid16 = self.grid16.reshape(b, 2 * side32, 2 * side32, -1)
        return Embedding(
            keys[..., :h, :w].flatten(-2),
            values[:, :, :, :h, :w].flatten(3, 4),
            grid16[:, : 2 * h, : 2 * w].flatten(1, 2),
            self.grid8[:, : 4 * h, : 4 * w],
            self.pixels[..., : 8 * h, : 8 * w],
        )


class Prompts(NamedTuple):
    """N prompts for each of B images."""

    coords: Tensor  # (B, N, P, 2) x, y in image sides, [0, 1]
    labels: Tensor  # (B, N, P) float; the constants above
    mask: Tensor  # (B, N or 1, h4, w4) logits of an earlier round
    has_mask: Tensor  # (B, N, 1) 1.0 where `mask` counts


def longest(h: int, w: int) -> int:
    """Cells along a picture's longest side, which is 1 long; a tensor while a graph is traced."""
    if torch.onnx.is_in_onnx_export():
        return cast(int, torch.maximum(torch.as_tensor(h), torch.as_tensor(w)))
    return max(h, w)


def cell_centres(n: int, side: int, like: Tensor) -> Tensor:
    """(n,) centres of the first n of `side` equal cells of [0, 1]."""
    return (torch.arange(n, device=like.device, dtype=torch.float32) + 0.5) / side


class Covered(NamedTuple):
    """The part of whole squares that the picture covers, where an embedding is not cut to it."""

    share_hw: Tensor  # (2,) of the square's rows and columns, from the top left

    def counted(self, side: int) -> tuple[Tensor, Tensor]:
        """Rows and columns of a square of `side` cells that the picture covers."""
        rows, columns = (self.share_hw * side + 0.5).floor().unbind()
        return rows, columns

    def cells(self, h: int, w: int) -> Tensor:
        """(h, w) 1.0 where the picture is, else 0.0."""
        rows, columns = (
            (cell_centres(n, n, share) < share).float()
            for n, share in zip((h, w), self.share_hw.unbind(), strict=True)
        )
        return rows.unsqueeze(-1) * columns

    def only(self, logits: Tensor) -> Tensor:
        """Masks (..., h, w) that end where the picture does."""
        seen = self.cells(*logits.shape[-2:])
        return torch.minimum(logits, (2 * seen - 1) * _NOTHING)


class PositionCode(nn.Module):
    """Random Fourier features of positions (Tancik et al. 2020), one matrix for the whole model."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, dim // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """(..., 2) in [0, 1] to (..., dim)."""
        angle = (2 * xy - 1) @ self.frequencies * (2 * math.pi)
        return torch.cat([angle.sin(), angle.cos()], -1)
