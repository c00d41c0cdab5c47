"""Batches of stored photos: drawn by the recipe's shares, filled up to one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgesam_engines.discovery.config import DiscoveryRecipe, TruthRules
from edgesam_engines.discovery.features import Stored, read
from edgesam_engines.discovery.loss import Goal
from edgesam_engines.discovery.truth import truth_of
from edgesam_rt.errors import ConfigError


class Batch(NamedTuple):
    """B photos.

    Attributes:
        grid16, grid8: (B, h8 / 2, w8 / 2, D) and (B, h8, w8, D), zero behind a smaller picture.
        covered: (B, 1, h8, w8) 1 where a picture is.
        goals: their truth.
        sides8: cells of grid8 along each encoder side.
    """

    grid16: Tensor
    grid8: Tensor
    covered: Tensor
    goals: list[Goal]
    sides8: list[int]


def files(features: Path, part: str) -> list[Path]:
    """Stored photos of a part, sorted.

    Raises:
        ConfigError: there are none.
    """
    found = sorted((features / part).glob("*.npz"))
    if not found:
        raise ConfigError(
            f"{features / part}: no features. Make them first: "
            "python -m edgesam_engines.discovery features"
        )
    return found


class Drawing:
    """Which photos a step sees: depends on the seed and the step alone, so a run can go on."""

    def __init__(self, paths: Sequence[Path], recipe: DiscoveryRecipe) -> None:
        self._paths, self._seed, self._batch = paths, recipe.seed, recipe.training.batch
        sources = [p.name.split("__")[0] for p in paths]
        count = {s: sources.count(s) for s in set(sources)}
        shares = np.array([recipe.weights.get(s, 1.0) / count[s] for s in sources])
        self._shares = shares / shares.sum()

    def paths(self, step: int) -> list[Path]:
        """The photos of a step."""
        rng = np.random.default_rng([self._seed, step])
        return [self._paths[i] for i in rng.choice(len(self._paths), self._batch, p=self._shares)]


def load(paths: Sequence[Path], rules: TruthRules) -> Batch:
    """Read photos and put them into one batch."""
    stored = [read(p) for p in paths]
    h, w = (max(s.grid8.shape[axis] for s in stored) for axis in (0, 1))
    dim = stored[0].grid8.shape[-1]
    grid16 = np.zeros((len(stored), h // 2, w // 2, dim), np.float32)
    grid8 = np.zeros((len(stored), h, w, dim), np.float32)
    covered = np.zeros((len(stored), 1, h, w), np.float32)
    for i, photo in enumerate(stored):
        rows, columns = photo.grid8.shape[:2]
        grid16[i, : rows // 2, : columns // 2] = photo.grid16
        grid8[i, :rows, :columns] = photo.grid8
        covered[i, 0, :rows, :columns] = 1
    return Batch(
        torch.from_numpy(grid16),
        torch.from_numpy(grid8),
        torch.from_numpy(covered),
        [goal_of(photo, rules) for photo in stored],
        [photo.side8 for photo in stored],
    )


def goal_of(photo: Stored, rules: TruthRules) -> Goal:
    """A photo's truth as tensors."""
    truth = truth_of(photo, rules)
    return Goal(
        torch.from_numpy(truth.boxes),
        torch.from_numpy(truth.weights),
        torch.from_numpy(truth.perhaps),
        torch.from_numpy(photo.labelled),
        truth.background,
        rules.near,
    )
