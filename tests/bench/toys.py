"""Predictors that answer toy photos without any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.types import Bool

SIDE = 64
CANDIDATES = 4
Guess = Callable[[Prompt], Bool]


def disc(x: float, y: float, radius: float, side: int = SIDE) -> Bool:
    """A disc in a picture of `side`."""
    yy, xx = np.mgrid[:side, :side] + 0.5
    inside: Bool = (xx - x) ** 2 + (yy - y) ** 2 <= radius**2
    return inside


def maskset(masks: Sequence[Bool], scores: Sequence[float]) -> MaskSet:
    """Masks as the answer of a decoder whose low resolution is the picture's."""
    logits = np.stack([np.where(m, 5.0, -5.0) for m in masks]).astype(np.float32)
    fit = Fit.longest_side(masks[0].shape, masks[0].shape[0])
    return MaskSet(logits, np.array(scores, np.float32), fit)


class Toy:
    """Answers every prompt by a function of it, and remembers what it was asked.

    The first candidate is the guess; of the others the last is the guess too, the rest are empty.
    """

    def __init__(self, guess: Guess, score: float = 0.75) -> None:
        self.guess, self.score = guess, score
        self.asked: list[Prompt] = []

    def __call__(
        self, prompts: Sequence[Prompt], *, multimask_output: bool = False
    ) -> list[MaskSet]:
        self.asked += prompts
        out = []
        for prompt in prompts:
            found = self.guess(prompt)
            empty = np.zeros_like(found)
            masks = [found, *[empty] * (CANDIDATES - 2), found] if multimask_output else [found]
            out.append(maskset(masks, [self.score] * len(masks)))
        return out


def knows(objects: Sequence[Bool]) -> Guess:
    """The object under a prompt's first point, or in the middle of its box."""

    def guess(prompt: Prompt) -> Bool:
        x, y = prompt.point_coords.mean(0) if prompt.has_box else prompt.point_coords[0]
        return next(m for m in objects if m[int(y), int(x)])

    return guess
