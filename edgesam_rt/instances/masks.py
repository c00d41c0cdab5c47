"""Masks of instances: made of prototypes, cut to their boxes, at the picture's size when asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edgesam_rt.imaging.masks import cells_covered
from edgesam_rt.imaging.parts import between_cells, draw_part
from edgesam_rt.instances.find import Found
from edgesam_rt.instances.tensors import PROTOTYPES
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.types import F32, AnyArray, Bool

NOTHING = -10.0  # logit all over the mask of a prompt that no instance answers


class Part(NamedTuple):
    """One instance of a mask: (h, w) logits, and the box (4,) px that it ends at."""

    logits: F32
    box_xyxy: F32


@dataclass(frozen=True, eq=False)
class InstanceMasks(MaskSet):
    """A MaskSet of instances, or of several joined to one mask.

    `low_res_logits` are as the network gives them, before they are cut to the box; of joined ones
    the largest. `predicted_iou` is the network's confidence that there is an object.

    Attributes:
        parts: the instances of every mask; none where nothing was found.
    """

    parts: tuple[tuple[Part, ...], ...] = ()

    def each_mask(self) -> Iterator[Bool]:
        """One (H, W) mask after another; holds one at a time."""
        for parts in self.parts:
            mask = np.zeros(self.image_hw, np.bool_)
            for part in parts:
                draw_part(mask, part.logits, part.box_xyxy, self.fit, self.mask_threshold)
            yield mask

    def __getitem__(self, index: int | slice | AnyArray) -> InstanceMasks:
        """Some of the masks; index by int, slice, bool or int array."""
        pick = np.arange(len(self))[index].reshape(-1)
        return replace(
            self,
            low_res_logits=self.low_res_logits[pick],
            predicted_iou=self.predicted_iou[pick],
            point_coords=self.point_coords[pick] if len(self.point_coords) else self.point_coords,
            object_ids=tuple(self.object_ids[i] for i in pick) if self.object_ids else (),
            parts=tuple(self.parts[i] for i in pick),
        )


def make(embedding: Embedding, found: Found, out: F32 | None = None) -> F32:
    """Low-resolution logits of instances.

    Args:
        embedding: of the picture.
        found: K instances.
        out: (K, h, w) to fill instead of a new array.

    Returns:
        (K, h, w), not cut to the boxes.
    """
    prototypes = embedding.tensors[PROTOTYPES][0]
    depth, h, w = prototypes.shape
    if out is None:
        out = np.empty((len(found.scores), h, w), np.float32)
    np.matmul(found.coefficients, prototypes.reshape(depth, -1), out=out.reshape(-1, h * w))
    return out


def contains(embedding: Embedding, found: Found, points: F32, threshold: float) -> Bool:
    """Which instances' masks contain which points; no mask is made for it.

    The logit of one pixel is the same sum as that of a whole mask, so only prototypes at the points
    are interpolated.

    Args:
        embedding: of the picture.
        found: K instances.
        points: (P, 2) px.
        threshold: the masks' cut, in logits.

    Returns:
        (K, P).
    """
    h, w = embedding.image_hw
    pixel = np.floor(points).clip(0, np.array([w - 1, h - 1])) + 0.5
    x, y = pixel.T
    prototypes = embedding.tensors[PROTOTYPES][0]
    cells_h, cells_w = cells_covered(prototypes.shape, embedding.fit)
    row, below, down = between_cells(y, h / cells_h, math.ceil(cells_h))
    column, beside, along = between_cells(x, w / cells_w, math.ceil(cells_w))
    top = prototypes[:, row, column] * (1 - along) + prototypes[:, row, beside] * along
    bottom = prototypes[:, below, column] * (1 - along) + prototypes[:, below, beside] * along
    above = found.coefficients @ (top * (1 - down) + bottom * down) > threshold
    low, high = found.boxes_xyxy[:, None, :2], found.boxes_xyxy[:, None, 2:]
    return np.asarray(above & ((pixel >= low) & (pixel < high)).all(-1))


def joined(
    logits: F32, found: Found, answers: Sequence[AnyArray], anchors: F32, like: MaskSet
) -> InstanceMasks:
    """Answers, each of any number of instances, as one set of masks.

    Args:
        logits: (K, h, w) of the instances.
        found: K instances.
        answers: A lists of rows of `found`.
        anchors: (A, 2) a point of each, px.
        like: an empty set about the same picture.
    """
    shape = (len(answers), *like.low_res_logits.shape[1:])
    out = np.full(shape, NOTHING, np.float32)
    scores = np.zeros(len(answers), np.float32)
    parts = []
    for i, rows in enumerate(answers):
        parts.append(tuple(Part(logits[k], found.boxes_xyxy[k]) for k in rows))
        if len(rows):
            out[i], scores[i] = logits[rows].max(0), found.scores[rows].min()
    return InstanceMasks(out, scores, like.fit, like.mask_threshold, anchors, parts=tuple(parts))
