"""Cells made by hand, for tests of what is done with them."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.tracking.cells import Cells
from edgesam_rt.types import F32

STRIDE = 8


def make_cells(vectors: F32) -> Cells:
    """Cells (rows, columns, C) of a picture with STRIDE pixels per cell."""
    rows, columns, _ = vectors.shape
    fit = Fit.longest_side((rows * STRIDE, columns * STRIDE), columns * STRIDE)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    flat = (vectors / length).reshape(rows * columns, -1)
    features = np.concatenate([flat, np.ones((len(flat), 1))], 1).astype(np.float32)
    return Cells(features, (rows, columns), STRIDE, fit)


def two_kinds(inside: F32, seed: int = 0, kinds: int = 0) -> Cells:
    """Cells whose vectors are of one kind inside a mask (rows, columns) and another outside."""
    rng = np.random.default_rng(seed)
    ways = np.random.default_rng(kinds).normal(size=(2, 12))
    noise = rng.normal(0, 0.3, (*inside.shape, 12))
    return make_cells((ways[inside.astype(np.int64)] + noise).astype(np.float32))
