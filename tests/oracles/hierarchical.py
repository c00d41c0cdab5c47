"""TinySAM's hierarchical generator, plainly: what strategy "hierarchical" must equal.

A coarse grid first; where its masks are confident nothing more is asked. Steps and their order are
those of `tinysam/hierarchical_mask_generator.py`, from a description; `ours` below marks what
differs from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgesam_rt.records import Embedding
from edgesam_rt.types import F64, U8, Bool
from tests.oracles import amg
from tests.oracles.shapes import suppressed


@dataclass(frozen=True)
class Options(amg.Options):
    """TinySAM's: SAM's, and where a coarse mask is confident, in logits. Crops are not used."""

    high_score_thresh: float = 8.5


def generate(
    decoder: amg.Answering, encode: Callable[[U8], Embedding], pixels: U8, options: Options
) -> list[amg.Found]:
    """All masks of a picture, (H, W, 3), in TinySAM's order."""
    embedding = encode(pixels)
    h, w = embedding.image_hw
    crop = 0, 0, w, h
    at = coarse_points(options, (h, w))
    confident: Bool = np.zeros((h, w), np.bool_)
    coarse = []
    expected: list[amg.Expected] = []  # ours: what was looked at is not looked at again
    for one in amg.look(decoder, embedding, at, crop, (h, w), options, expected):
        confident |= one.logits > options.high_score_thresh
        coarse.append(one.found)
    rest = fine_points(at, confident, options)
    # ours: an empty second pass is no error
    again = amg.look(decoder, embedding, rest, crop, (h, w), options, expected)
    fine = [one.found for one in again]
    both = fine + coarse
    scores = [one.predicted_iou for one in both]
    kept = suppressed([one.box for one in both], scores, options.box_nms_thresh)
    return amg.cleaned([both[i] for i in kept], (h, w), options)


def coarse_points(options: Options, image_hw: tuple[int, int]) -> F64:
    """(P, 2) px: a quarter of the points per side; ours: at least one."""
    h, w = image_hw
    n = max(1, options.points_per_side // 4)
    at = [(w * (x + 0.5) / n, h * (y + 0.5) / n) for y in range(n) for x in range(n)]
    return np.array(at)


def fine_points(coarse: F64, confident: Bool, options: Options) -> F64:
    """(P, 2) px: up to 15 around every coarse point, where no coarse mask is confident."""
    kept = []
    for px, py in coarse.tolist():
        for x, y in around(px, py, confident.shape, options):
            if not confident[int(y), int(x)]:
                kept.append((x, y))
    return np.array(kept, np.float64).reshape(-1, 2)


def around(
    px: float, py: float, image_hw: tuple[int, ...], options: Options
) -> Iterator[tuple[float, float]]:
    """The neighbours of a coarse point, in TinySAM's order; ours: none outside the picture."""
    h, w = image_hw
    sx, sy = (max(1, side // options.points_per_side) for side in (w, h))  # ours: never 0
    near = (-1, 0, 1)
    steps = [(a, b) for a in near for b in near if (a, b) != (0, 0)]
    if px + 2 * sx < w:
        steps += [(2, b) for b in near]
    if py + 2 * sy < h:
        steps += [(a, 2) for a in near]
    if px + 2 * sx < w and py + 2 * sy < h:
        steps += [(2, 2)]
    for a, b in steps:
        x, y = px + a * sx, py + b * sy
        if 0 <= x < w and 0 <= y < h:
            yield x, y
