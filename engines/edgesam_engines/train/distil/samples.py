"""Batches of a teacher's answers: whole photos, as the teacher saw them, in other colours."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from edgesam_engines.families.pocketsam import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PAD_LABEL,
    TRAINED_TOKENS,
)
from edgesam_engines.train.augment import recolour
from edgesam_engines.train.config import Distil, Recipe
from edgesam_engines.train.distil.cache import AnswerCache, Answers
from edgesam_engines.train.distil.heads import Heads
from edgesam_engines.train.samples import TARGET_STRIDE, Sample, TeacherView, draw_side
from edgesam_engines.train.sources import Entry, PhotoCache
from edgesam_engines.train.validate import letterbox

_GRID = 8  # stride of the embedding that is compared, px
BY_BOX, BY_POINT = 0, 1  # rows of the answers


@dataclass(frozen=True)
class Distillation:
    """A teacher's cached answers on photos to learn from; all of them have some."""

    recipe: Recipe
    cache: AnswerCache
    photos: list[Entry]

    @property
    def rules(self) -> Distil:
        """The recipe's, which has some."""
        assert self.recipe.distil is not None
        return self.recipe.distil

    def heads(self) -> Heads:
        """New projections, the same for the same seed."""
        torch.manual_seed(self.recipe.seed)
        return Heads(self.cache.shape(self.photos[0]), self.rules)

    def mixed_with(
        self, batches: Dataset[Sample], photos: int, *, labelled: bool
    ) -> Dataset[Sample]:
        """Part of the steps on the teacher's answers, the others on the labels there are."""
        mine = TeacherBatches(self.recipe, self, photos)
        return _Mixed(batches, mine, self.rules.share, self.recipe.seed) if labelled else mine


class _Mixed(Dataset[Sample]):
    """Step by step from one of two; which one depends on seed and step alone."""

    def __init__(
        self, labelled: Dataset[Sample], taught: Dataset[Sample], share: float, seed: int
    ) -> None:
        self._labelled, self._taught = labelled, taught
        self._share, self._seed = share, seed

    def __getitem__(self, step: int) -> Sample:
        chance = np.random.default_rng([self._seed, step, 1]).random()
        return (self._taught if chance < self._share else self._labelled)[step]


class TeacherBatches(Dataset[Sample]):
    """Item `step` is that step's batch."""

    def __init__(self, recipe: Recipe, distillation: Distillation, photos: int) -> None:
        self._recipe, self._photos = recipe, photos
        self._from = distillation
        self._cache = PhotoCache(recipe.data.cache_mib)
        self._colour = msgspec.structs.replace(recipe.photo, flip=0.0)

    def __getitem__(self, step: int) -> Sample:
        rng = np.random.default_rng([self._recipe.seed, step])
        side = draw_side(self._recipe, step, rng)
        n = self._recipe.batch.prompts
        boxes = int(n * self._recipe.prompts.box + rng.random())
        made = [self._one(side, n, boxes, rng) for _ in range(self._photos)]
        images, targets, *view = (torch.stack(column) for column in zip(*made, strict=True))
        coords, labels, trust, tokens, embedding, seen = view
        teacher = TeacherView(coords, labels, boxes, trust, tokens, embedding, seen)
        return Sample(images, targets, teacher)

    def _one(self, side: int, n: int, boxes: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Image, targets, coords, labels, trust, tokens, embedding and what of it is the photo."""
        entry = self._from.photos[int(rng.integers(len(self._from.photos)))]
        answers = self._from.cache.get(entry)
        square, nw, nh = letterbox(self._cache.get(entry).image, side)
        square[:nh, :nw] = recolour(square[:nh, :nw], self._colour, rng)
        k = len(answers.points)
        chosen = np.concatenate([rng.permutation(k)[:n], rng.integers(0, k, max(0, n - k))])
        rng.shuffle(chosen)
        objects = torch.from_numpy(chosen.astype(np.int64))
        rows = torch.full((n,), BY_POINT)
        rows[:boxes] = BY_BOX
        masks = _placed(answers.masks[rows, objects], side // TARGET_STRIDE, (nw, nh), side)
        coords, labels = _prompts(answers, objects, boxes, (nw, nh), side)
        embedding, seen = _grid(answers.embedding, (nw, nh), side)
        return (
            torch.from_numpy(square),
            masks,
            coords,
            labels,
            answers.trust[rows, objects].float(),
            answers.tokens[rows, objects],
            embedding,
            seen,
        )


def _prompts(
    answers: Answers, objects: Tensor, boxes: int, inner_wh: tuple[int, int], side: int
) -> tuple[Tensor, Tensor]:
    """Coords (N, P, 2) in image sides and labels (N, P): boxes first, then points."""
    n = len(objects)
    coords = torch.zeros(n, TRAINED_TOKENS, 2)
    labels = torch.full((n, TRAINED_TOKENS), float(PAD_LABEL))
    coords[:boxes, :2] = answers.corners[objects[:boxes]].float()
    labels[:boxes, 0], labels[:boxes, 1] = BOX_TOP_LEFT, BOX_BOTTOM_RIGHT
    coords[boxes:, 0] = answers.points[objects[boxes:]].float()
    labels[boxes:, 0] = FOREGROUND
    return coords * torch.tensor(inner_wh, dtype=torch.float32) / side, labels


def _placed(masks: Tensor, cells: int, inner_wh: tuple[int, int], side: int) -> Tensor:
    """(N, mh, mw) uint8 of the photo to (N, cells, cells) of the square; nothing beyond it."""
    h, w = (max(1, round(v * cells / side)) for v in inner_wh[::-1])
    out = torch.zeros(len(masks), cells, cells, dtype=torch.uint8)
    out[:, :h, :w] = _resized(masks.float().unsqueeze(0), (h, w))[0].round().to(torch.uint8)
    return out


def _grid(embedding: Tensor, inner_wh: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
    """(C, gh, gw) of the photo to (C, S / 8, S / 8) of the square, and 1.0 where the photo is."""
    cells = side // _GRID
    h, w = (max(1, round(v / _GRID)) for v in inner_wh[::-1])
    out = torch.zeros(len(embedding), cells, cells)
    seen = torch.zeros(1, cells, cells)
    out[:, :h, :w] = _resized(embedding.float().unsqueeze(0), (h, w))[0]
    seen[:, :h, :w] = 1.0
    return out, seen


def _resized(x: Tensor, hw: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size=hw, mode="bilinear", antialias=True)
