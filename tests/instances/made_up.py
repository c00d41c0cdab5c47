"""Embeddings of instances made up from a seed: many, overlapping, in pictures of any shape."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.records import Embedding
from tests.oracles.one_shot import Placed

SIDE, DEPTH = 256, 32


def made_up(
    decoder: InstanceDecoder, image_hw: tuple[int, int], count: int, seed: int
) -> Embedding:
    """`count` boxes anywhere in the square, some twice with a small shift; smooth prototypes."""
    rng = np.random.default_rng(seed)
    fit = Fit.longest_side(image_hw, SIDE)
    low = rng.uniform(-10, 200, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(4, 150, (count, 2))], 1)
    again = rng.random(count) < 0.3
    boxes[1:][again[1:]] = (boxes[:-1] + rng.normal(0, 1.5, (count - 1, 4)))[again[1:]]
    rows, columns = (n // 4 for n in fit.covered(4))
    y, x = np.mgrid[:rows, :columns] / 64
    waves = rng.uniform(-12, 12, (DEPTH, 3))
    prototypes = np.sin(
        waves[:, 0, None, None] * x + waves[:, 1, None, None] * y + waves[:, 2, None, None]
    )
    tensors = {
        "boxes_xyxy": boxes[None],
        "scores": rng.random((1, count)),
        "coefficients": rng.normal(0, 1, (1, DEPTH, count)),
        "prototypes": prototypes[None],
    }
    plain = {name: np.ascontiguousarray(v, np.float32) for name, v in tensors.items()}
    return Embedding(plain, fit, decoder.label, "made up")


def placed(embedding: Embedding) -> Placed:
    """Where its picture lies."""
    fit = embedding.fit
    return Placed(fit.image_hw, fit.scaled_hw, fit.side)
