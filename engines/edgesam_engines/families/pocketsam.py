"""PocketSAM: a small promptable segmenter made for 8-bit integers.

Encoder: EfficientNet-Lite0 and a feature pyramid. All that does not depend on a prompt is computed
here, once per image: keys and values for every attention layer, two feature grids to sample
prompts from, and stride-4 pixel features.

Scorer: the prompt's tokens attend to each other and to the image, and out come four predicted IoUs
and four mask tokens. No mask is made yet.

Mask head: one mask token becomes the weights of a tiny three-layer network (a dynamic mask head:
Tian et al. 2020, "Conditional Convolutions for Instance Segmentation") that runs on the shared
pixel features and on coordinates relative to the prompt. So a mask costs about 5 million
multiply-adds, and only those that somebody wants are made.

Judge: looks at a mask that was made and corrects its predicted IoU.

Shapes use B images, N prompts per image, P points per prompt, T tokens, D channels,
(h32, w32), (h, w), (h8, w8), (h4, w4) the grids at strides 32, 16, 8 and 4. A picture's longest
side is 1 long in prompts and positions; an embedding may be cut to the cells the picture covers.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgesam_engines.families.pocketsam_decoder import (
    TAIL,
    Judge,
    MaskHead,
    Scorer,
    ground_planes,
)
from edgesam_engines.families.pocketsam_encoder import Encoder
from edgesam_engines.families.pocketsam_parts import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    COARSEST,
    FOREGROUND,
    MASK_STRIDE,
    MASKS,
    PAD_LABEL,
    TRAINED_TOKENS,
    Embedding,
    PositionCode,
    Prompts,
    Widths,
)

__all__ = [
    "BACKGROUND",
    "BOX_BOTTOM_RIGHT",
    "BOX_TOP_LEFT",
    "COARSEST",
    "FOREGROUND",
    "MASKS",
    "MASK_STRIDE",
    "PAD_LABEL",
    "TAIL",
    "TRAINED_TOKENS",
    "Embedding",
    "Encoder",
    "Judge",
    "MaskHead",
    "PocketSAM",
    "Prompts",
    "Scorer",
    "Widths",
    "ground_planes",
]


class PocketSAM(nn.Module):
    """Encoder, scorer, mask head and judge; the first two share one position code."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        widths = widths or Widths()
        self.widths = widths
        position = PositionCode(widths.dim)
        self.encoder = Encoder(widths, position)
        self.scorer = Scorer(widths, position)
        self.mask_head = MaskHead(widths)
        self.judge = Judge(widths)

    def decode(
        self, e: Embedding, prompts: Prompts, keep: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, N, M, h4, w4) of the kept mask tokens, and their judged IoU logits."""
        tokens = self.scorer(e, prompts)[1][:, :, keep]
        b, n, m, width = tokens.shape

        def per_mask(t: Tensor) -> Tensor:
            return t.unsqueeze(2).expand(b, n, m, *t.shape[2:]).flatten(1, 2)

        prompts = prompts._replace(mask=prompts.mask.expand(b, n, -1, -1))
        tokens = tokens.reshape(b, n * m, width)
        logits = self.mask_head(e.pixels, tokens, Prompts(*(per_mask(t) for t in prompts)))
        iou = self.judge(e.grid16, tokens, logits)
        return logits.view(b, n, m, *logits.shape[-2:]), iou.view(b, n, m)
