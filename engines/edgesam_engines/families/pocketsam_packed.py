"""PocketSAM's encoder arranged for integer kernels: the same values, made in other ways.

- **Packed stem.** A 3x3 stride-2 convolution over three channels makes integer runtimes copy nine
  bytes at a time. Two neighbouring output columns are computed by one convolution over groups of
  four pixels instead (12 channels, kernel 3x2, stride 2x1, twice the outputs): the picture only has
  to be looked at as (S, S/4, 12), which costs nothing.
- **Doubling by broadcasting.** Nearest upsampling before a sum is one concatenation of a
  channels-last array with itself (columns) and a sum that reads each row twice.
- **Two linear layers in a row are one**: the trunk's last and the pyramid's first; keys and values
  come from the map itself, layer by layer, so that no array of all of them has to be turned around
  and taken apart.
- **No batch axis** from the last convolutions on: to drop it from an output is a copy.

docs/encoder-speed.md has the figures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.families.lite0 import STEM_CHANNELS, TAPS, ConvNorm, MBConv
from edgesam_engines.families.pocketsam import Encoder, ground_planes

PACK = 2  # output columns of the stem computed by one position of the packed kernel


def packed_stem(stem: nn.Conv2d) -> nn.Conv2d:
    """The stem over groups of 2 * PACK pixels: (1, 6 * PACK, S, S / (2 * PACK)) in.

    Takes the folded 3x3 stride-2 stem whose padding is one row at the bottom and one column at the
    right; the packed one wants one row and one group there.
    """
    assert stem.bias is not None
    weight = stem.weight.detach()
    pixels = 2 * PACK
    kernel = torch.zeros(PACK, STEM_CHANNELS, 2, pixels, 3, 3)  # column, out, group, px, rgb, row
    for column in range(PACK):
        for kx in range(3):
            px = 2 * column + kx
            kernel[column, :, px // pixels, px % pixels] = weight[:, :, :, kx]
    packed = nn.Conv2d(3 * pixels, PACK * STEM_CHANNELS, (3, 2), (2, 1))
    with torch.no_grad():
        packed.weight.copy_(kernel.permute(0, 1, 3, 4, 5, 2).reshape(packed.weight.shape))
        assert packed.bias is not None
        packed.bias.copy_(stem.bias.detach().repeat(PACK))
    return packed


def add_doubled(fine: Tensor, coarse: Tensor) -> Tensor:
    """(1, C, 2H, 2W) plus (1, C, H, W), each value of that four times."""
    _, c, h, w = (int(n) for n in coarse.shape)
    columns = _channels_last(coarse)
    columns = torch.cat([columns, columns], -1).reshape(h, 1, 2 * w * c)
    pairs_of_rows = _channels_last(fine).reshape(h, 2, 2 * w * c)
    return (pairs_of_rows + columns).reshape(1, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


def in_one(first: nn.Conv2d, second: nn.Conv2d, rows: slice = slice(None)) -> nn.Conv2d:
    """Some output channels of two 1x1 convolutions in a row, as one."""
    assert first.bias is not None
    assert second.bias is not None
    outer, inner = second.weight.detach()[rows, :, 0, 0], first.weight.detach()[:, :, 0, 0]
    both = nn.Conv2d(inner.shape[1], outer.shape[0], 1)
    with torch.no_grad():
        both.weight.copy_((outer @ inner)[:, :, None, None])
        assert both.bias is not None
        both.bias.copy_(outer @ first.bias + second.bias[rows])
    return both


class PackedEncoder(nn.Module):
    """`PlainEncoder` from (1, 6 * PACK, S, S / (2 * PACK)) float: groups of pixels as channels.

    Takes an encoder whose norms are folded.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = packed_stem(encoder.trunk.stem.conv)
        last = encoder.trunk.blocks[-1]
        assert isinstance(last, MBConv)
        self.last_expand, self.last_depthwise = last.expand, last.depthwise
        lateral = encoder.lateral[-1]
        assert isinstance(lateral, ConvNorm)
        self.to_p32 = in_one(last.project.conv, lateral.conv)
        w = encoder.widths
        parts = [
            in_one(encoder.to_grid16.conv, encoder.keys_values, slice(i * w.dim, (i + 1) * w.dim))
            for i in range(2 * w.layers)
        ]
        self.keys = nn.ModuleList(parts[: w.layers])
        self.values = nn.ModuleList(parts[w.layers :])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        x = F.relu6(self.stem(F.pad(x, (0, 1, 0, 1))))
        side = int(x.shape[2])
        x = x.permute(0, 2, 3, 1).reshape(1, side, side, STEM_CHANNELS).permute(0, 3, 1, 2)
        taps = []
        for i, block in enumerate(self.encoder.trunk.blocks[:-1]):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        p32 = self.to_p32(self.last_depthwise(self.last_expand(x)))
        return self._one_image(*self.encoder.levels(taps, p32, add_doubled))

    def _one_image(self, p16: Tensor, p8: Tensor, p4: Tensor) -> tuple[Tensor, ...]:
        e, w = self.encoder, self.encoder.widths
        heads, each = w.heads, w.dim // w.heads
        h, wd = (int(n) for n in p16.shape[2:])
        p32, cells = F.avg_pool2d(p16, 2), h * wd // 4
        codes = e.key_positions(h // 2, wd // 2, like=p16).chunk(w.layers)
        keys = [
            (conv(p32) + code).reshape(heads, each, cells)
            for conv, code in zip(self.keys, codes, strict=True)
        ]
        values = [
            _channels_last(conv(p32)).reshape(cells, heads, each).transpose(0, 1)
            for conv in self.values
        ]
        grid16 = _channels_last(e.to_grid16(p16)).reshape(h * wd, w.dim)
        grid8 = _channels_last(e.to_grid8(p8)).reshape(2 * h, 2 * wd, w.dim)
        pixels = e.to_pixels(p4).reshape(w.pixel, 4 * h, 4 * wd)
        planes = ground_planes(torch.zeros(1, 1, 4 * h, 4 * wd))[0, 1:]
        return (*keys, *values, grid16, grid8, torch.cat([pixels, planes]))


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)
