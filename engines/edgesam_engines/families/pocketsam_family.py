"""PocketSAM as the factory sees it: its checkpoint, its facts, its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgesam_engines.checkpoints import load_strictly, read_safetensors
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.lite0 import fold_norms, hidden_widths
from edgesam_engines.families.pocketsam import (
    COARSEST,
    MASK_STRIDE,
    MASKS,
    TAIL,
    TRAINED_TOKENS,
    PocketSAM,
    Widths,
)
from edgesam_engines.families.pocketsam_graphs import (
    MaskHeadGraph,
    PlainEncoder,
    ScorerGraph,
    embedding_names,
)
from edgesam_engines.families.pocketsam_packed import PACK, PackedEncoder
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import COVERED, DecoderFacts, Part, Preprocess

SECOND_LOOK = 0.15  # answers to a point whose first score is this near the best are judged too
EMBEDDING = embedding_names(Widths().layers)
SCORER_EMBEDDING = EMBEDDING[:-1]
SCORES = ("iou_predictions", "mask_tokens", "expected_boxes")

_CELL_AXIS = {"keys": (2, "cells32"), "values": (1, "cells32"), "grid16": (0, "cells16")}
_GRID = {
    name: {axis: cells}
    for name in EMBEDDING
    for kind, (axis, cells) in _CELL_AXIS.items()
    if name.startswith(kind)
}
_LAYOUTS = {"keys": "h_d_yx32", "values": "h_yx32_d"}
_GRID8 = {"grid8": {0: "rows8", 1: "columns8"}}
_PROMPTS = {
    "point_coords": {0: "prompts", 1: "points"},
    "point_labels": {0: "prompts", 1: "points"},
    "mask_input": {0: "earlier_masks", 2: "rows4", 3: "columns4"},
    "has_mask_input": {0: "prompts"},
}


def read_model(checkpoint: Path) -> PocketSAM:
    """A safetensors file as a model to train: only norms that the file lacks are folded.

    Raises:
        CheckpointError: it is not a checkpoint of PocketSAM.
    """
    weights = read_safetensors(checkpoint)
    model = PocketSAM(Widths(trunk=hidden_widths(weights, "encoder.trunk.")))
    if "encoder.trunk.stem.conv.bias" in weights:
        fold_norms(model.encoder.trunk)
    load_strictly(model, weights, checkpoint, PocketSamFamily.name)
    return model


class PocketSamFamily:
    """See `families/pocketsam.py` for the architecture."""

    name = "pocketsam"
    preprocess = Preprocess(
        resize="longest_side",
        colour="rgb",
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        pad_value=127,
        pad_order="before_normalising",
        input_dtype="uint8",
        layout="nhwc",
        normalised_in_engine=True,
    )
    decoder = DecoderFacts(
        masks=MASKS,
        clear_answer=0,
        ambiguous_answers=(1, 2, 3),
        points_per_prompt=TRAINED_TOKENS,
        coordinates="unit",
        mask_stride=MASK_STRIDE,
        score_kind="predicted_iou",
        mask_input_broadcasts=True,
        second_look=SECOND_LOOK,
        cut_multiple=COARSEST,
    )
    layouts: ClassVar[Mapping[str, str]] = {
        "grid16": "yx16_c",
        "grid8": "y8_x8_c",
        "pixels": "c_y4_x4",
        **{n: _LAYOUTS[n[:-2]] for n in EMBEDDING if n[:-2] in _LAYOUTS},
    }

    def load(self, checkpoint: Path) -> nn.Module:
        """Read a safetensors file; its trunk may or may not have its BatchNorm folded."""
        model = read_model(checkpoint)
        fold_norms(model)
        return model.eval()

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        """The encoder: float input, plain NCHW or packed for integer kernels."""
        assert isinstance(model, PocketSAM)
        if side < COARSEST or side % COARSEST:
            raise ConfigError(
                f"encoder side {side}: PocketSAM takes positive multiples of {COARSEST}."
            )
        shape = (6 * PACK, side, side // (2 * PACK)) if for_int8 else (3, side, side)
        module = PackedEncoder(model.encoder) if for_int8 else PlainEncoder(model.encoder)
        return GraphSpec(
            module.eval(),
            {"pixels_in": torch.zeros(1, *shape)},
            EMBEDDING,
            keep_float=("pixels",),  # its planes are coordinates, on no scale with the features
        )

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """Scorer and mask head; one pair serves every side."""
        assert isinstance(model, PocketSAM)
        with torch.no_grad():
            embedding = PlainEncoder(model.encoder)(torch.zeros(1, 3, side, side))
        tensors = dict(zip(EMBEDDING, embedding, strict=True))
        low, count = side // MASK_STRIDE, 3
        scorer_inputs: dict[str, Tensor] = {n: tensors[n] for n in SCORER_EMBEDDING}
        prompts = {
            "point_coords": torch.rand(count, 2, 2),
            "point_labels": torch.ones(count, 2),
            "mask_input": torch.zeros(count, 1, low, low),
            "has_mask_input": torch.zeros(count, 1),
        }
        scorer_inputs |= prompts
        head_inputs = {
            "pixels": tensors["pixels"],
            "grid16": tensors["grid16"],
            "mask_tokens": torch.rand(count, self._token_width(model)),
            **prompts,
        }
        if whole:
            scorer_inputs[COVERED] = head_inputs[COVERED] = torch.ones(2)
        free = {**_GRID, **_GRID8, **_PROMPTS}
        answers = {name: {0: "prompts"} for name in SCORES}
        head_free = {
            "pixels": {1: "rows4", 2: "columns4"},
            "grid16": {0: "cells16"},
            "mask_tokens": {0: "prompts"},
            **_PROMPTS,
            "low_res_masks": {0: "prompts", 2: "rows4", 3: "columns4"},
            "iou_predictions": {0: "prompts"},
        }
        return {
            "scorer": GraphSpec(
                ScorerGraph(model, whole=whole).eval(),
                scorer_inputs,
                SCORES,
                {**free, **answers},
            ),
            "mask_head": GraphSpec(
                MaskHeadGraph(model, whole=whole).eval(),
                head_inputs,
                ("low_res_masks", "iou_predictions"),
                head_free,
            ),
        }

    @staticmethod
    def _token_width(model: PocketSAM) -> int:
        return model.widths.dim + TAIL
