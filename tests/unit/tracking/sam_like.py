"""A family unlike PocketSAM: one map `image_embeddings`, whole squares, at most two points."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.manifest import DecoderFacts, TensorSpec
from edgesam_rt.records import BOX_TOP_LEFT, Embedding, MaskSet, Prompt
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.types import F32, U8

SIDE, STRIDE, MASK_STRIDE = 256, 16, 4
OUTPUT = TensorSpec(
    name="image_embeddings",
    shape=(1, 3, SIDE // STRIDE, SIDE // STRIDE),
    dtype="float32",
    layout="nchw",
)
READER = CellReader([OUTPUT], SIDE, cut_multiple=0)
_LIKE = 60.0  # distance of two colours that are one thing's


def _shrunk(square: F32, stride: int) -> F32:
    cells = SIDE // stride
    return square.reshape(cells, stride, cells, stride, 3).mean((1, 3))


def encode(pixels: U8) -> Embedding:
    """A picture's colours less grey, at stride 16; and at 4, for the decoder."""
    fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), SIDE)
    square = to_encoder_input(pixels, fit, 100).astype(np.float32) - 100
    maps = _shrunk(square, STRIDE).transpose(2, 0, 1)[None]
    tensors = {OUTPUT.name: maps, "colours": _shrunk(square, MASK_STRIDE)}
    return Embedding(tensors, fit, "sam-like 1.0", "fake")


class ColourDecoder:
    """Answers a box with what has the colour of its middle and lies not far from it."""

    def __init__(self, like: DecoderFacts) -> None:
        self.facts = msgspec.structs.replace(
            like, cut_multiple=0, points_per_prompt=2, mask_stride=MASK_STRIDE, mask_threshold=0.5
        )
        self.batches: list[int] = []

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> MaskSet:
        """One mask per prompt, all of them squares."""
        self.batches.append(len(prompts))
        side = SIDE // MASK_STRIDE
        logits = np.array([self._mask(embedding, p) for p in prompts], np.float32)
        scores = np.full(len(prompts), 0.9, np.float32)
        return MaskSet(
            logits.reshape(-1, side, side), scores, embedding.fit, self.facts.mask_threshold
        )

    def _mask(self, embedding: Embedding, prompt: Prompt) -> F32:
        assert len(prompt.point_labels) <= self.facts.points_per_prompt
        if prompt.mask_input is not None:
            assert prompt.mask_input.shape == (SIDE // MASK_STRIDE,) * 2
        corners = prompt.point_coords[prompt.point_labels >= BOX_TOP_LEFT]
        box = embedding.fit.to_unit(corners) * (SIDE // MASK_STRIDE)
        middle, half = box.mean(0), (box[1] - box[0]) / 2 + 4
        colours: F32 = embedding.tensors["colours"]
        x, y = middle.astype(int)
        is_like = np.abs(colours - colours[y, x]).max(2) < _LIKE
        rows, columns = np.mgrid[: len(colours), : len(colours)] + 0.5
        is_near = (np.abs(columns - middle[0]) < half[0]) & (np.abs(rows - middle[1]) < half[1])
        return np.where(is_like & is_near, 8.0, -8.0).astype(np.float32)
