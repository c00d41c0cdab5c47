"""PocketSAM as it is exported: one picture, tensors by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgesam_engines.families.pocketsam import (
    Embedding,
    Encoder,
    PocketSAM,
    Prompts,
    ground_planes,
)
from edgesam_engines.families.pocketsam_decoder import expected_boxes
from edgesam_engines.families.pocketsam_parts import Covered


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


def _one_images_prompts(coords: Tensor, labels: Tensor, mask: Tensor, has_mask: Tensor) -> Prompts:
    """The four prompt tensors of the contract as the model takes them."""
    return Prompts(
        coords.unsqueeze(0), labels.unsqueeze(0), mask.transpose(0, 1), has_mask.unsqueeze(0)
    )


def _covered(tensors: tuple[Tensor, ...], whole: bool) -> tuple[tuple[Tensor, ...], Covered | None]:
    """A graph's inputs, and what the last one says if the embeddings are whole squares."""
    return (tensors[:-1], Covered(tensors[-1])) if whole else (tensors, None)


class ScorerGraph(nn.Module):
    """The scorer for one picture: embedding tensors and the four prompt tensors in.

    `whole`: embeddings are whole squares, and one more input says what the picture covers of them.
    """

    def __init__(self, model: PocketSAM, *, whole: bool = False) -> None:
        super().__init__()
        self.scorer = model.scorer
        self.whole = whole

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted IoUs (N, 4) in [0, 1], mask tokens (N, 4, D + TAIL), expected boxes (N, 4, 4).

        A box is left, top, right, bottom of what the answer is expected to fill, in image sides.
        Takes keys by layer, values by layer, grid16, grid8, point_coords, point_labels,
        mask_input, has_mask_input; and covered_hw (2,), if whole.
        """
        tensors, covered = _covered(tensors, self.whole)
        *by_layer, grid16, grid8 = (t.unsqueeze(0) for t in tensors[:-4])
        half = len(by_layer) // 2
        memory = list(zip(by_layer[:half], by_layer[half:], strict=True))
        prompts = _one_images_prompts(*tensors[-4:])
        iou_logits, tokens = self.scorer.score(memory, grid16, grid8, prompts, covered)
        tokens = tokens.squeeze(0)
        return torch.sigmoid(iou_logits).squeeze(0), tokens, expected_boxes(tokens)


class MaskHeadGraph(nn.Module):
    """The mask head and the judge for one picture and K chosen tokens; `whole` as in the scorer."""

    def __init__(self, model: PocketSAM, *, whole: bool = False) -> None:
        super().__init__()
        self.mask_head = model.mask_head
        self.judge = model.judge
        self.whole = whole

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Low-resolution logits (K, 1, h, w) and their predicted IoUs (K, 1) in [0, 1].

        Takes pixels, grid16, mask_tokens, point_coords, point_labels, mask_input, has_mask_input;
        and covered_hw (2,), if whole.
        """
        tensors, covered = _covered(tensors, self.whole)
        pixels, grid16, mask_tokens = tensors[:3]
        tokens = mask_tokens.unsqueeze(0)
        prompts = _one_images_prompts(*tensors[3:])
        logits = self.mask_head.paint(pixels.unsqueeze(0), tokens, prompts)
        if covered is not None:
            logits = covered.only(logits)
        iou_logits = self.judge(grid16.unsqueeze(0), tokens, logits, covered)
        return logits.transpose(0, 1), torch.sigmoid(iou_logits).transpose(0, 1)
