"""What the encoder saw, cell by cell: the features that an object is known by.

A bundle's manifest says of every encoder output where its rows and columns are, and at which
stride (`edgesam_rt/cutting.py`). Maps with one vector per cell are what is wanted here; which they
are is read from the layouts, so any family will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from edgesam_rt.bundle import Bundle
from edgesam_rt.cutting import PICTURE_AXIS
from edgesam_rt.errors import BundleError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import TensorSpec
from edgesam_rt.records import Embedding
from edgesam_rt.types import F32

FINEST, COARSEST = 8, 16  # strides, encoder px: finer maps see edges, not objects
_MOST_CHANNELS = 128  # that OpenCV 5 resizes at once
_PLAIN = {"nchw": (0, 2, 3, 1), "nhwc": (0, 1, 2, 3)}  # axes: batch, rows, columns, channels


class _Map(NamedTuple):
    """An encoder output with one vector per cell; `order` brings it to rows, columns, channels."""

    name: str
    stride: int
    order: tuple[int, ...]
    is_flat: bool  # rows and columns are one axis


@dataclass(frozen=True, eq=False)
class Cells:
    """One picture as the tracker sees it.

    Attributes:
        features: (rows * columns, D) float32; a unit vector per map, and a last column of ones.
        hw: rows and columns; they cover the picture.
        stride: of a cell, encoder px.
        fit: where the picture lies in the encoder's square.
    """

    features: F32
    hw: tuple[int, int]
    stride: int
    fit: Fit

    @cached_property
    def gram(self) -> F32:
        """(D, D) features^T features: costly, and the same for all objects of a picture."""
        return np.asarray(self.features.T @ self.features, np.float32)

    @cached_property
    def mean(self) -> F32:
        """(D,) mean feature of the picture."""
        return np.asarray(self.features.mean(0), np.float32)

    def shares(self, logits: F32, threshold: float) -> F32:
        """How much of every cell masks cover.

        Args:
            logits: (K, h, w) low-resolution masks of this picture.
            threshold: the cut, in logits.

        Returns:
            (K, rows, columns) in [0, 1]: mean chance of being inside.
        """
        import cv2

        per_cell = self.stride * max(logits.shape[-2:]) / self.fit.side
        h, w = (
            min(round(n * per_cell), m) for n, m in zip(self.hw, logits.shape[-2:], strict=True)
        )
        inside = chance(logits[:, :h, :w] - threshold)
        out = np.empty((len(logits), *self.hw), np.float32)
        for k, each in enumerate(inside):
            out[k] = cv2.resize(each, self.hw[::-1], interpolation=cv2.INTER_AREA)
        return out

    def to_px(self, xy: F32) -> F32:
        """Cells (..., 2) to picture px; the first cell's left edge is 0."""
        return self.fit.from_unit(np.asarray(xy, np.float32) * (self.stride / self.fit.side))

    def from_px(self, xy: F32) -> F32:
        """The way back from `to_px`."""
        return self.fit.to_unit(np.asarray(xy, np.float32)) * (self.fit.side / self.stride)


class CellReader:
    """Makes `Cells` of embeddings of one bundle.

    Maps with strides from FINEST to COARSEST are joined, on the cells of the finest of them; if
    there is none of these, the first map is taken.

    Args:
        outputs: of the encoder, as the manifest has them.
        side: of the encoder's input that `outputs` belong to, px.
        cut_multiple: embeddings are cut to the picture, at multiples of this; 0: they are squares.

    Raises:
        BundleError: no output has one vector per cell.
    """

    def __init__(self, outputs: Sequence[TensorSpec], side: int, cut_multiple: int) -> None:
        found = [m for m in (_as_map(spec, side) for spec in outputs) if m is not None]
        fitting = [m for m in found if FINEST <= m.stride <= COARSEST]
        self._maps = sorted(fitting, key=lambda m: m.stride) or found[:1]
        self._multiple = cut_multiple
        if not self._maps:
            layouts = ", ".join(f"{s.name} {s.layout!r}" for s in outputs)
            raise BundleError(
                "tracking: no encoder output has one vector per cell, as in layout 'y8_x8_c' or "
                f"'n_c_y16_x16'; this bundle has {layouts}. Name the axes in its manifest."
            )

    @classmethod
    def of(cls, bundle: Bundle, backend: str, side: int) -> CellReader:
        """Of a bundle's encoder; one reader serves all its sides."""
        outputs = bundle.engine("encoder", backend, side).outputs
        return cls(outputs, side, bundle.manifest.decoder.cut_multiple)

    def read(self, embedding: Embedding) -> Cells:
        """The cells of a picture."""
        fit, stride = embedding.fit, self._maps[0].stride
        rows, columns = (-(-n // stride) for n in fit.scaled_hw)
        parts = [self._vectors(m, embedding, (rows, columns)) for m in self._maps]
        ones = np.ones((rows * columns, 1), np.float32)
        return Cells(np.concatenate([*parts, ones], 1), (rows, columns), stride, fit)

    def _vectors(self, m: _Map, embedding: Embedding, hw: tuple[int, int]) -> F32:
        """(rows * columns, C) unit vectors of one map."""
        grid = self._grid(m, embedding)
        finest = self._maps[0].stride
        if m.stride != finest:
            grid = _grown(grid, m.stride / finest)
        inside = grid[: hw[0], : hw[1]].reshape(hw[0] * hw[1], -1)
        length = np.linalg.norm(inside, axis=1, keepdims=True)
        return np.asarray(inside / np.maximum(length, 1e-6), np.float32)

    def _grid(self, m: _Map, embedding: Embedding) -> F32:
        """(rows, columns, C) of one map; padding may be part of it."""
        values = embedding.tensors[m.name].transpose(m.order)
        fit = embedding.fit
        hw = values.shape[-3:-1]
        if m.is_flat:
            covered = fit.covered(self._multiple) if self._multiple else (fit.side, fit.side)
            cut = covered[0] // m.stride, covered[1] // m.stride
            is_cut = cut[0] * cut[1] == values.shape[-2]
            hw = cut if is_cut else (fit.side // m.stride, fit.side // m.stride)
        return np.ascontiguousarray(values.reshape(*hw, values.shape[-1]), np.float32)


def chance(logits: F32) -> F32:
    """Logits to chances in [0, 1]."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))), np.float32)


def _grown(grid: F32, factor: float) -> F32:
    """A map (rows, columns, C) with `factor` times as many rows and columns, bilinear."""
    import cv2

    size_wh = round(grid.shape[1] * factor), round(grid.shape[0] * factor)
    parts = [
        cv2.resize(np.ascontiguousarray(part), size_wh, interpolation=cv2.INTER_LINEAR)
        for part in np.array_split(grid, -(-grid.shape[2] // _MOST_CHANNELS), axis=2)
    ]
    return np.concatenate([part.reshape(*size_wh[::-1], -1) for part in parts], 2, dtype=np.float32)


def _as_map(spec: TensorSpec, side: int) -> _Map | None:
    """An output as a map, or None if it has not one vector per cell."""
    if spec.layout in _PLAIN:
        order = _PLAIN[spec.layout]
        rows = spec.shape[order[1]]
        return _Map(spec.name, side // rows, order, False) if isinstance(rows, int) else None
    words = spec.layout.split("_")
    axes: dict[str, int] = {}
    stride = 0
    for i, word in enumerate(words):
        match = PICTURE_AXIS.fullmatch(word)
        axes[match[1] if match else word] = i
        stride = int(match[2]) if match else stride
    batch = [axes.pop("n")] if "n" in axes else []
    picture = [axes.pop(name) for name in ("yx", "y", "x") if name in axes]
    if not stride or len(axes) != 1:
        return None
    return _Map(spec.name, stride, (*batch, *picture, *axes.values()), len(picture) == 1)
