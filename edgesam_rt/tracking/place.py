"""Where an object is likely to be, and how the decoder is asked about it there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import low_res_hw
from edgesam_rt.records import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND, Prompt
from edgesam_rt.tracking.cells import Cells, chance
from edgesam_rt.types import F32, Bool

SLOPE = 4.0  # of the chance that a cell is the object's, per unit of its score
REACH = 0.5  # half sizes beyond its box, per frame, at which an object is less likely by 40 %
OUTSIDE = -6.0  # logit of what is surely not the object, in a mask that is given as a prompt
INSIDE = 12.0  # logits per unit of chance, in such a mask


class Place(NamedTuple):
    """Where an object may be.

    Attributes:
        likely: (rows, columns) chance of every cell, 0 outside of the one connected part.
        prompt: that part's box, its deepest point, and it itself as a mask.
    """

    likely: F32
    prompt: Prompt


def chances(scores: F32) -> F32:
    """Scores of `appearance.scores` as chances in [0, 1]."""
    return chance(SLOPE * scores)


def nearness(cells: Cells, box_xyxy: F32, frames: int) -> F32:
    """How likely an object is to have come to every cell.

    Args:
        cells: of the picture.
        box_xyxy: (4,) where it was last seen, px of this picture.
        frames: since then; the longer, the farther it may be.

    Returns:
        (rows, columns) in (0, 1]: 1 in the box, falling with the distance in half sizes of it.
    """
    corners = cells.from_px(box_xyxy.reshape(2, 2))
    middle, half = corners.mean(0), np.maximum((corners[1] - corners[0]) / 2, 1.5)
    rows, columns = (np.arange(n, dtype=np.float32) + 0.5 for n in cells.hw)
    beyond_x = np.maximum(np.abs(columns - middle[0]) / half[0] - 1, 0)
    beyond_y = np.maximum(np.abs(rows - middle[1]) / half[1] - 1, 0)
    squared = beyond_x[None] ** 2 + beyond_y[:, None] ** 2
    return np.asarray(np.exp(-0.5 * squared / (REACH * frames) ** 2), np.float32)


def find_places(likely: F32, cells: Cells, facts: DecoderFacts, most: int) -> list[Place]:
    """The connected parts of a map of chances, the weightiest first.

    Args:
        likely: (rows, columns) in [0, 1]; cells above 0.5 are connected. If there are none, there
            is no place.
        cells: of the picture.
        facts: of the decoder to be asked.
        most: how many parts at most.
    """
    import cv2

    count, labels = cv2.connectedComponents((likely > 0.5).astype(np.uint8))
    weights = np.bincount(labels.ravel(), likely.ravel(), count)[1:]
    order = np.argsort(-weights, kind="stable")[:most]
    return [_place(np.asarray(labels == 1 + k), likely, cells, facts) for k in order]


def _place(part: Bool, likely: F32, cells: Cells, facts: DecoderFacts) -> Place:
    """One part as a place, and how to ask about it."""
    logits = np.where(part | (likely <= 0.5), INSIDE * (likely - 0.5), OUTSIDE)
    mask = _as_mask_input(logits.astype(np.float32), cells, facts)
    marks, labels = _marks(part), (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, FOREGROUND)
    h, w = cells.fit.image_hw
    coords = np.minimum(cells.to_px(marks), np.array([w, h], np.float32))
    few = min(len(labels), facts.points_per_prompt)  # a decoder of two is asked without the point
    prompt = Prompt(coords[:few], np.array(labels[:few]), mask)
    return Place(np.where(part, likely, 0.0).astype(np.float32), prompt)


def _marks(part: Bool) -> F32:
    """(3, 2) x, y in cells: the corners of a part's box, and its deepest point."""
    import cv2

    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    framed = np.zeros((bottom - top + 2, right - left + 2), np.uint8)
    framed[1:-1, 1:-1] = part[top:bottom, left:right]
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    deepest = left + x - 0.5, top + y - 0.5
    return np.array([(left, top), (right, bottom), deepest], np.float32)


def _as_mask_input(logits: F32, cells: Cells, facts: DecoderFacts) -> F32:
    """Logits of cells at the size of the decoder's low-resolution masks."""
    import cv2

    per_cell = cells.stride / facts.mask_stride
    size_wh = round(cells.hw[1] * per_cell), round(cells.hw[0] * per_cell)
    grown = cv2.resize(logits, size_wh, interpolation=cv2.INTER_LINEAR)
    mask = np.full(low_res_hw(cells.fit, facts), OUTSIDE, np.float32)
    part = mask[: grown.shape[0], : grown.shape[1]]
    part[:] = grown[: part.shape[0], : part.shape[1]]
    return mask
