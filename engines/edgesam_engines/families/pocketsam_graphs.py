"""PocketSAM as it is exported: one picture, tensors by name, arranged for the board's kernels.

Two rearrangements make the integer encoder faster, and change no value:

- **Packed stem.** A 3x3 stride-2 convolution over three channels makes integer runtimes copy nine
  bytes at a time. Two neighbouring output columns are computed by one convolution over groups of
  four pixels instead (12 channels, kernel 3x2, stride 2x1, twice the outputs): the picture only has
  to be looked at as (S, S/4, 12), which costs nothing. 3.1 ms became 1.0 ms at 512 on one thread.
- **Doubling by concatenation.** Nearest upsampling is two concatenations of a channels-last array
  with itself, that is, memory copies; the runtime's own Resize takes 1.4 ms for the three of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.families.lite0 import STEM_CHANNELS, TAPS
from edgesam_engines.families.pocketsam import (
    Embedding,
    Encoder,
    PocketSAM,
    Prompts,
    ground_planes,
)

PACK = 2  # output columns of the stem computed by one position of the packed kernel


def double_by_concatenation(x: Tensor) -> Tensor:
    """(1, C, H, W) to (1, C, 2H, 2W), each value four times."""
    _, c, h, w = (int(n) for n in x.shape)
    rows = x.permute(0, 2, 3, 1)
    rows = torch.cat([rows, rows], -1).reshape(1, h, 1, 2 * w * c)
    rows = torch.cat([rows, rows], 2).reshape(1, 2 * h, 2 * w, c)
    return rows.permute(0, 3, 1, 2)


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


def embedding_names(layers: int) -> tuple[str, ...]:
    """Names of the encoder's outputs; keys and values by layer, so no call takes them apart."""
    by_layer = [f"{kind}_{i}" for kind in ("keys", "values") for i in range(layers)]
    return (*by_layer, "grid16", "grid8", "pixels")


def _one_image(e: Embedding) -> tuple[Tensor, ...]:
    by_layer = [t[:, i] for t in (e.keys, e.values) for i in range(e.keys.shape[1])]
    tensors = [*by_layer, e.grid16, e.grid8, ground_planes(e.pixels)]
    return tuple(t.squeeze(0) for t in tensors)


class PlainEncoder(nn.Module):
    """(1, 3, S, S) float to the tensors named by `embedding_names`, without a batch axis."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return _one_image(self.encoder(x))


class PackedEncoder(nn.Module):
    """The same from (1, 6 * PACK, S, S / (2 * PACK)) float: groups of pixels as channels."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = packed_stem(encoder.trunk.stem.conv)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        x = F.relu6(self.stem(F.pad(x, (0, 1, 0, 1))))
        side = int(x.shape[2])
        x = x.permute(0, 2, 3, 1).reshape(1, side, side, STEM_CHANNELS).permute(0, 3, 1, 2)
        taps = []
        for i, block in enumerate(self.encoder.trunk.blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return _one_image(self.encoder.pyramid(taps, double_by_concatenation))


class ScorerGraph(nn.Module):
    """The scorer for one picture: embedding tensors and the four prompt tensors in."""

    def __init__(self, model: PocketSAM) -> None:
        super().__init__()
        self.scorer = model.scorer

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted IoUs (N, 4) in [0, 1] and mask tokens (N, 4, D + 4).

        Takes keys by layer, values by layer, grid16, grid8, point_coords, point_labels,
        mask_input, has_mask_input.
        """
        *by_layer, grid16, grid8 = (t.unsqueeze(0) for t in tensors[:-4])
        coords, labels, mask, has_mask = tensors[-4:]
        half = len(by_layer) // 2
        memory = list(zip(by_layer[:half], by_layer[half:], strict=True))
        prompts = Prompts(
            coords.unsqueeze(0), labels.unsqueeze(0), mask.transpose(0, 1), has_mask.unsqueeze(0)
        )
        iou_logits, tokens = self.scorer.score(memory, grid16, grid8, prompts)
        return torch.sigmoid(iou_logits).squeeze(0), tokens.squeeze(0)


class MaskHeadGraph(nn.Module):
    """The mask head for one picture and K chosen tokens."""

    def __init__(self, model: PocketSAM) -> None:
        super().__init__()
        self.mask_head = model.mask_head

    def forward(
        self, pixels: Tensor, mask_tokens: Tensor, mask_input: Tensor, has_mask_input: Tensor
    ) -> Tensor:
        """Low-resolution logits (K, 1, h, w)."""
        logits = self.mask_head.paint(
            pixels.unsqueeze(0),
            mask_tokens.unsqueeze(0),
            mask_input.transpose(0, 1),
            has_mask_input.unsqueeze(0),
        )
        return logits.transpose(0, 1)
