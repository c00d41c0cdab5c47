"""Batches of augmented samples, each a function of the recipe's seed and the step alone.

So a run that is stopped and resumed sees the same photos as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from edgesam_engines.train.augment import Tile
from edgesam_engines.train.canvas import compose, draw_kind
from edgesam_engines.train.config import Recipe
from edgesam_engines.train.paste import paste_things
from edgesam_engines.train.schedule import decay_start
from edgesam_engines.train.sources import Entry, Ids, Image, Labelled, PhotoCache, Split

TARGET_STRIDE = 2  # masks leave this module at half the side
_ATTEMPTS = 20


class NoObjectError(RuntimeError):
    """The photos have nothing large enough to ask for."""


class Sample(NamedTuple):
    """B augmented photos and N objects in each."""

    images: Tensor  # (B, S, S, 3) uint8, RGB
    targets: Tensor  # (B, N, S / TARGET_STRIDE, S / TARGET_STRIDE) uint8, covered part of 255
    teacher: TeacherView | None = None  # whose answers the targets are


class TeacherView(NamedTuple):
    """What a teacher made of the photos of a sample; see `distil/`."""

    coords: Tensor  # (B, N, TRAINED_TOKENS, 2) of the prompts it was asked, in image sides
    labels: Tensor  # (B, N, TRAINED_TOKENS)
    boxes: int  # the first of the N are boxes
    trust: Tensor  # (B, N) its predicted IoUs
    tokens: Tensor  # (B, N, D) of its answers; D = 0 for a teacher without
    embedding: Tensor  # (B, C, S / 8, S / 8)
    seen: Tensor  # (B, 1, S / 8, S / 8) 1.0 where the photo is


class PhotoDraw:
    """Draws entries by the weights of their sources."""

    def __init__(self, sources: dict[str, list[Entry]], weights: dict[str, float]) -> None:
        names = [n for n, entries in sources.items() if entries and weights.get(n, 0) > 0]
        self._pools = [sources[n] for n in names]
        shares = np.array([weights[n] for n in names], np.float64)
        self._shares = shares / shares.sum() if names else shares

    def __bool__(self) -> bool:
        return bool(self._pools)

    def __call__(self, rng: np.random.Generator) -> Entry:
        """One entry: first a source by weight, then any of its photos."""
        pool = self._pools[int(rng.choice(len(self._pools), p=self._shares))]
        return pool[int(rng.integers(len(pool)))]


class Batches(Dataset[Sample]):
    """Item `step` is that step's batch."""

    def __init__(self, recipe: Recipe, split: Split, photos: int) -> None:
        self._recipe = recipe
        self._photos = photos
        self._cache = PhotoCache(recipe.data.cache_mib)
        sources = recipe.data.sources
        self._draw = PhotoDraw(split.train, {n: s.weight for n, s in sources.items()})
        self._cutouts = PhotoDraw(split.train, {n: s.cutout for n, s in sources.items()})
        self._backdrops = PhotoDraw(split.backdrops, recipe.data.backdrops)
        cv2.setNumThreads(1)

    def __getitem__(self, step: int) -> Sample:
        rng = np.random.default_rng([self._recipe.seed, step])
        side = draw_side(self._recipe, step, rng)
        made = [self._sample(side, rng) for _ in range(self._photos)]
        return Sample(
            torch.from_numpy(np.stack([image for image, _ in made])),
            torch.from_numpy(np.stack([target for _, target in made])),
        )

    def _sample(self, side: int, rng: np.random.Generator) -> tuple[Image, NDArray[np.uint8]]:
        rules = self._recipe.canvas
        for _ in range(_ATTEMPTS):
            canvas = self._canvas(side, rng)
            wanted = choose_objects(
                canvas.ids, self._recipe.batch.prompts, rules.min_object, rules.max_object, rng
            )
            if wanted:
                return canvas.image, coverage(canvas.ids, wanted)
        raise NoObjectError(f"no object of {rules.min_object} pixels in {_ATTEMPTS} samples")

    def _canvas(self, side: int, rng: np.random.Generator) -> Tile:
        recipe, rules = self._recipe, self._recipe.paste
        kind = draw_kind(rng, recipe.canvas)
        bare = kind == "backdrop" and bool(self._backdrops) and bool(self._cutouts)
        source = self._backdrops if bare else self._draw

        def photo(pool: PhotoDraw = source) -> Labelled:
            return self._cache.get(pool(rng))

        canvas = compose(kind, side, photo, recipe.canvas, recipe.photo, rng)
        if bare or (self._cutouts and rng.random() < rules.share):
            low, high = rules.backdrop_count if bare else rules.count
            count = int(rng.integers(low, high + 1))
            paste_things(canvas, count, lambda: photo(self._cutouts), rules, recipe.photo, rng)
        return canvas


def draw_side(recipe: Recipe, step: int, rng: np.random.Generator) -> int:
    """The side of a step's samples, px."""
    late = step >= decay_start(recipe.schedule)
    sides = recipe.batch.late_sides if late and recipe.batch.late_sides else recipe.batch.sides
    shares = np.array(list(sides.values()), np.float64)
    return int(rng.choice([int(s) for s in sides], p=shares / shares.sum()))


def choose_objects(
    ids: Ids, count: int, smallest: int, largest: float, rng: np.random.Generator
) -> list[int]:
    """Ids of `count` objects of a fitting size, repeated where there are fewer; [] if none fits."""
    areas = np.bincount(ids.ravel())
    areas[0] = 0
    fitting = np.flatnonzero((areas >= smallest) & (areas <= largest * ids.size))
    if not len(fitting):
        return []
    order = rng.permutation(fitting)[:count]
    more = rng.choice(fitting, count - len(order)) if len(order) < count else order[:0]
    return [int(v) for v in np.concatenate([order, more])]


def coverage(ids: Ids, wanted: list[int]) -> NDArray[np.uint8]:
    """(N, S / TARGET_STRIDE, S / TARGET_STRIDE): how much of each cell an object covers, of 255."""
    side = ids.shape[0] // TARGET_STRIDE
    out = np.empty((len(wanted), side, side), np.uint8)
    for row, value in zip(out, wanted, strict=True):
        mask = (ids == value).view(np.uint8) * np.uint8(255)
        cv2.resize(mask, (side, side), dst=row, interpolation=cv2.INTER_AREA)
    return out


class StepsFrom(Sampler[int]):
    """The steps that are left."""

    def __init__(self, start: int, stop: int) -> None:
        self._steps = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


def batch_loader(batches: Dataset[Sample], recipe: Recipe, start: int) -> DataLoader[Sample]:
    """Batches from step `start` to the recipe's last, made ahead by worker processes."""
    workers = recipe.hardware.workers
    return DataLoader(
        batches,
        batch_size=None,
        sampler=StepsFrom(start, recipe.schedule.total_steps),
        num_workers=workers,
        prefetch_factor=recipe.hardware.prefetch if workers else None,
    )
