"""PocketSAM's encoder: a picture to everything that no prompt changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.families.lite0 import TAP_CHANNELS, ConvNorm, Trunk
from edgesam_engines.families.pocketsam_parts import (
    Embedding,
    PositionCode,
    Widths,
    cell_centres,
    longest,
)


def _add_doubled(fine: Tensor, coarse: Tensor) -> Tensor:
    return fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest")


class Separable(nn.Module):
    """Residual depthwise-separable block that ends in ReLU6."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.depthwise = ConvNorm(channels, channels, kernel, groups=channels)
        self.pointwise = ConvNorm(channels, channels, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.relu6(x + self.pointwise(self.depthwise(x)))


class Encoder(nn.Module):
    """Image to everything that no prompt changes."""

    def __init__(self, widths: Widths, position: PositionCode) -> None:
        super().__init__()
        w = widths
        self.widths = w
        self.position = position
        self.trunk = Trunk(w.trunk)
        sides = (64, w.pyramid, w.pyramid, w.pyramid)
        self.lateral = nn.ModuleList(
            ConvNorm(c, out, act=False) for c, out in zip(TAP_CHANNELS, sides, strict=True)
        )
        self.context = nn.Conv2d(w.pyramid, w.pyramid, 1)
        self.mix32 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.mix16 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.mix8 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.narrow = ConvNorm(w.pyramid, 64, act=False)
        self.mix4 = nn.Sequential(Separable(64, 3), Separable(64, 3))
        self.to_grid16 = ConvNorm(w.pyramid, w.dim, act=False)
        self.to_grid8 = ConvNorm(w.pyramid, w.dim, act=False)
        self.to_pixels = nn.Conv2d(64, w.pixel, 1)
        self.keys_values = nn.Conv2d(w.dim, 2 * w.dim * w.layers, 1)
        self.key_position = nn.Linear(w.dim, w.dim * w.layers, bias=False)

    def forward(self, x: Tensor) -> Embedding:
        """(B, 3, S, S) float, RGB, (value - 127) / 128, S a multiple of 32, to an Embedding."""
        return self.pyramid(self.trunk(x))

    def levels(
        self,
        finer: list[Tensor],
        p32: Tensor,
        add_doubled: Callable[[Tensor, Tensor], Tensor] = _add_doubled,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mixed maps at strides 16, 8 and 4 from the trunk's at 4, 8 and 16 and the coarsest level.

        Export doubles sizes in the way that a board's kernels like: `add_doubled` adds to a map
        one of half its size, each value of that 2x2 times.
        """
        c4, c8, c16 = finer
        p32 = self.mix32(p32 + self.context(F.adaptive_avg_pool2d(p32, 1)))
        p16 = self.mix16(add_doubled(self.lateral[2](c16), p32))
        p8 = self.mix8(add_doubled(self.lateral[1](c8), p16))
        p4 = self.mix4(add_doubled(self.lateral[0](c4), self.narrow(p8)))
        return p16, p8, p4

    def pyramid(self, taps: list[Tensor]) -> Embedding:
        """The trunk's four maps to an Embedding; apart so that training can freeze early blocks."""
        p16, p8, p4 = self.levels(taps[:3], self.lateral[3](taps[3]))
        grid16 = self.to_grid16(p16)
        grid8 = self.to_grid8(p8)
        w = self.widths
        n_l, n_h, d = w.layers, w.heads, w.dim // w.heads
        grid32 = F.avg_pool2d(grid16, 2)
        batch, _, h, wd = grid32.shape
        keys, values = self.keys_values(grid32).chunk(2, 1)
        keys = keys + self.key_positions(h, wd, like=grid16)
        return Embedding(
            keys=keys.reshape(batch, n_l, n_h, d, h * wd),
            values=values.reshape(batch, n_l, n_h, d, h * wd).transpose(-1, -2),
            grid16=grid16.flatten(2).transpose(1, 2),
            grid8=grid8.permute(0, 2, 3, 1),
            pixels=self.to_pixels(p4),
        )

    def key_positions(self, h: int, w: int, like: Tensor) -> Tensor:
        """(L * D, h, w): what is added to the keys of every layer at every cell."""
        side = longest(h, w)
        rows, columns = cell_centres(h, side, like), cell_centres(w, side, like)
        ys, xs = torch.meshgrid(rows, columns, indexing="ij")
        code = self.key_position(self.position(torch.stack([xs, ys], -1)))
        return cast(Tensor, code.permute(2, 0, 1))
