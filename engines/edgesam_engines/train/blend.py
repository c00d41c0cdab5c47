"""Weights between those begun with and those learnt: most of what is new, less forgotten.

On a straight line between the two, figures on the new kind of photo rise early, and those on all
others fall late (docs/training.md). So the nearest point to the start is taken that keeps a given
part of what was gained on the photos held out.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.train.checkpoint import WEIGHTS, export_weights
from edgesam_engines.train.config import Blend, Recipe
from edgesam_engines.train.journal import Journal, read_journal
from edgesam_engines.train.loop import JOURNAL
from edgesam_engines.train.network import model_of
from edgesam_engines.train.sources import Split
from edgesam_engines.train.validate import Figures, validate

BLENDED = "blended.safetensors"
JUDGED = ("box", "point", "clicks3")  # figures whose mean counts


class Point(NamedTuple):
    """On the line: how much of the change it has, 0 to 1, and its figures on held-out photos."""

    share: float
    figures: Figures

    @property
    def score(self) -> float:
        """What is compared."""
        values = [self.figures[name] for name in JUDGED]
        return sum(v for v in values if isinstance(v, float)) / len(JUDGED)


def between(
    start: Mapping[str, Tensor], learnt: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """The weights at a share of the way; both have the same names and shapes."""
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in learnt.items()
    }


def chosen(start: Point, points: list[Point], rules: Blend) -> Point:
    """The one with the least share that keeps enough of the most that any gained."""
    enough = rules.keep_gain * (max(p.score for p in points) - start.score)
    by_share = sorted(points, key=lambda p: p.share)
    near = (p for p in by_share if p.score - start.score >= enough)
    return next(near, max(points, key=lambda p: p.score))


def blend(
    init: Path,
    out: Path,
    split: Split,
    recipe: Recipe,
    device: torch.device,
    told: Callable[[Point], None],
) -> None:
    """Try the recipe's shares on the photos held out, and write the chosen weights beside the rest.

    Args:
        init: the weights that the training began with.
        out: the run's folder, all of whose steps are done.
        split: its photos.
        recipe: with a `blend`.
        device: where to run.
        told: is given each point's figures.
    """
    assert recipe.blend is not None
    start, learnt = read_weights(init), read_weights(out / WEIGHTS)
    ends, points = _ends(out), []
    for share in sorted(recipe.blend.shares):
        figures = ends.get(share)
        if figures is None:
            model = model_of(between(start, learnt, share)).to(device)
            figures = validate(model, split, recipe, device)
        points.append(Point(share, figures))
        told(points[-1])
    best = chosen(Point(0.0, ends[0.0]), points, recipe.blend) if 0.0 in ends else points[0]
    notes = {"recipe": recipe.name, "share": str(best.share)}
    export_weights(out / BLENDED, model_of(between(start, learnt, best.share)), notes)
    Journal(out / JOURNAL).add(
        "blend", recipe.schedule.total_steps, {"share": best.share, **best.figures}
    )


def _ends(out: Path) -> dict[float, Figures]:
    """Figures of both ends of the line, as far as the run has measured them."""
    records = [r for r in read_journal(out / JOURNAL) if r["kind"] == "validation" and "box" in r]
    if not records or records[0]["step"] != 0:
        return {}
    return {0.0: records[0], 1.0: records[-1]}
