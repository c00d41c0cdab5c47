"""What the families with SAM's prompt encoder and mask decoder share: facts, loading, graphs.

A family derives from `SamFamily`, says what differs, and builds its image encoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgesam_engines.checkpoints import load_strictly, read_weights
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.sam_decoder import MASKS
from edgesam_engines.families.sam_graphs import (
    ANSWERS,
    EMBEDDING,
    DecoderGraph,
    EncoderGraph,
    SamModel,
)
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import DecoderFacts, Part, Preprocess

GRID = 64  # cells along a side of the embedding, in every family so far
SIDE = 1024

PREPROCESS = Preprocess(
    resize="longest_side",
    resample="pil_bilinear",
    colour="rgb",
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    pad_value=0,
    pad_order="after_normalising",
    input_dtype="float32",
    layout="nchw",
    normalised_in_engine=False,
)
DECODER = DecoderFacts(
    masks=MASKS,
    clear_answer=0,
    ambiguous_answers=(1, 2, 3),
    points_per_prompt=32,
    coordinates="pixels",
    prompt_side=SIDE,
    mask_stride=SIDE // (4 * GRID),
    score_kind="predicted_iou",
    padding_point=True,
    filler_label=-2,
    mask_side=SIDE,
    mask_input_broadcasts=True,
    prompts_per_call=16,
)
_ROWS = {0: "prompts"}
PROMPT_AXES = {
    "point_coords": {0: "prompts", 1: "points"},
    "point_labels": {0: "prompts", 1: "points"},
    "mask_input": {0: "earlier_masks"},
    "has_mask_input": _ROWS,
}


class SamFamily(ABC):
    """A published family; see `families/base.py` for the attributes.

    Attributes:
        side: of the encoder's input, px; the networks are made for one.
        unused: prefixes of weights that official files have and nothing uses.
    """

    name: ClassVar[str]
    side: ClassVar[int] = SIDE
    unused: ClassVar[tuple[str, ...]] = ()
    preprocess: ClassVar[Preprocess] = PREPROCESS
    decoder: ClassVar[DecoderFacts] = DECODER

    @property
    def layouts(self) -> Mapping[str, str]:
        """Of the tensors between encoder and decoder."""
        stride = self.side // GRID
        return dict(zip(EMBEDDING, (f"yx{stride}_c", "h_d_p", "h_p_d", "p_c"), strict=True))

    @abstractmethod
    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The encoder to load, with upstream's parameter names; `weights` tell its widths."""

    def folded(self, model: SamModel) -> SamModel:
        """The loaded model with all that can be computed ahead computed; by default as it is."""
        return model

    def weights(self, checkpoint: Path) -> dict[str, Tensor]:
        """The weights of a file under upstream's names, without those that nothing uses."""
        found = read_weights(checkpoint)
        return {k: v for k, v in found.items() if not k.startswith(self.unused)}

    def load(self, checkpoint: Path) -> nn.Module:
        """Read an official checkpoint; the module is in eval mode on the CPU.

        Raises:
            CheckpointError: it is not a checkpoint of this family.
        """
        weights = self.weights(checkpoint)
        model = SamModel(self.image_encoder(weights), GRID, self.decoder.prompt_side)
        load_strictly(model, weights, checkpoint, self.name, looks_like(weights))
        return self.folded(model.eval()).requires_grad_(False)

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        """The encoder with the decoder's prompt-independent share; one form for all precisions."""
        assert isinstance(model, SamModel)
        if side != self.side:
            raise ConfigError(f"encoder side {side}: {self.name} is made for {self.side} only.")
        return GraphSpec(
            EncoderGraph(model).eval(),
            {"normalised_pixels": torch.zeros(1, 3, side, side)},
            EMBEDDING,
            keep_float=EMBEDDING,
        )

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """One `decoder`; it always takes whole squares, as its attention sees the padding."""
        assert isinstance(model, SamModel)
        shapes = ((GRID**2, 256), (8, 16, GRID**2), (8, GRID**2, 16), (GRID**2, 128))
        inputs = {n: torch.zeros(shape) for n, shape in zip(EMBEDDING, shapes, strict=True)}
        low, count = 4 * GRID, 3
        inputs |= {
            "point_coords": torch.rand(count, 2, 2) * self.decoder.prompt_side,
            "point_labels": torch.ones(count, 2),
            "mask_input": torch.zeros(count, 1, low, low),
            "has_mask_input": torch.zeros(count, 1),
        }
        free = {**PROMPT_AXES, **dict.fromkeys(ANSWERS, _ROWS)}
        return {"decoder": GraphSpec(DecoderGraph(model).eval(), inputs, ANSWERS, free)}
