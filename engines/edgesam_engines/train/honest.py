"""Predicted IoUs that mean what they say: six numbers fitted on photos kept apart, in the weights.

    python -m edgesam_engines.train.honest --config RECIPE --weights FILE --out FILE

Training samples are mosaics of photos that show one large thing; people's photos show many small
ones, and a score learnt on the first is too sure on the second. So, on single points of the
recipe's validation part, the judge's logit z becomes a z + c . facts + b, by logistic regression
(Platt 1999, "Probabilistic outputs for support vector machines") with a term for the order of a
point's answers; the facts are size, stability and certainty of the mask. The first score gets the
same a and an offset of its own. All of it goes into last layers that are linear: no new operation.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.train.checkpoint import export_weights
from edgesam_engines.train.cli import pick_device, prepare
from edgesam_engines.train.config import RecipeError, load_recipe
from edgesam_engines.train.losses import rank_loss
from edgesam_engines.train.memory import keep_memory
from edgesam_engines.train.network import model_of
from edgesam_engines.train.sources import split_sources
from edgesam_engines.train.validate import PointAnswers, Tally, examine
from edgesam_rt.bench.protocols import calibration_error

LIKE_USE = "coco_"  # sources whose photos look most like those people take
LIKE_USE_WEIGHT = 3.0  # of their objects in the fit
_RANK = 2.0  # weight of the order of a point's answers
_EDGE = 1e-4  # predictions are kept this far from 0 and 1
MARGINS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the second look, for the report
log = logging.getLogger(__name__)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What is done to the logits; see the module."""

    slope: float
    offset: float
    first_offset: float
    facts: tuple[float, ...]


def fit(answers: Sequence[PointAnswers], weights: Values) -> Change:
    """The change with the least loss.

    Args:
        answers: of N objects.
        weights: (N,) how much each counts.
    """
    first, judged, reached = (
        torch.from_numpy(np.stack([getattr(a, name) for a in answers]))
        for name in ("first", "judged", "reached")
    )
    facts = torch.from_numpy(np.stack([a.facts for a in answers]))
    weight = torch.from_numpy(weights / weights.sum())
    z, z_first = (torch.logit(p.clamp(_EDGE, 1 - _EDGE)) for p in (judged, first))
    at = torch.zeros(3 + facts.shape[-1], dtype=torch.float64)
    at[0] = 1.0
    at.requires_grad_(True)

    def loss() -> Tensor:
        new = at[0] * z + at[1] + facts @ at[3:]
        new_first = at[0] * z_first + at[2]
        each = functional.binary_cross_entropy_with_logits(new, reached, reduction="none").sum(-1)
        own = functional.binary_cross_entropy_with_logits(new_first, reached, reduction="none")
        order = rank_loss(new.unsqueeze(0), reached.unsqueeze(0))[0]
        return (weight * (each + own.sum(-1) + _RANK * order)).sum() + 1e-4 * (at[3:] ** 2).sum()

    solver = torch.optim.LBFGS([at], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return float(value.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    slope, offset, first_offset, *rest = at.detach().tolist()
    return Change(slope, offset, first_offset, tuple(rest))


def applied(answers: PointAnswers, change: Change) -> PointAnswers:
    """What a model with changed heads would predict."""
    judged = change.slope * _logit(answers.judged) + change.offset
    judged = judged + answers.facts @ np.array(change.facts)
    first = change.slope * _logit(answers.first) + change.first_offset
    return answers._replace(judged=_sigmoid(judged), first=_sigmoid(first))


def _logit(p: Values) -> Values:
    p = p.clip(_EDGE, 1 - _EDGE)
    out: Values = np.log(p / (1 - p))
    return out


def _sigmoid(z: Values) -> Values:
    out: Values = 1 / (1 + np.exp(-z))
    return out


@torch.no_grad()
def change_heads(model: PocketSAM, change: Change) -> None:
    """Put a change into a model's weights."""
    last, judge = model.scorer.iou[2], model.judge
    assert isinstance(last, nn.Linear)
    for layer in (last, judge.out):
        layer.weight.mul_(change.slope)
        layer.bias.mul_(change.slope)
    judge.direct.weight.mul_(change.slope).add_(torch.tensor(change.facts).to(judge.direct.weight))
    last.bias.add_(change.first_offset)
    judge.out.bias.add_(change.offset - change.first_offset)


def figures(answers: Sequence[PointAnswers]) -> dict[str, float]:
    """What a user gets by a point: mIoU of the chosen answers, and how honest their scores are."""
    best = [int(a.judged.argmax()) for a in answers]
    said = np.array([a.judged[i] for a, i in zip(answers, best, strict=True)])
    got = np.array([a.reached[i] for a, i in zip(answers, best, strict=True)])
    return {
        "point": round(float(got.mean()), 4),
        "mean_predicted": round(float(said.mean()), 4),
        "calibration_error": round(calibration_error(said, got), 4),
    }


def second_look(answers: Sequence[PointAnswers]) -> dict[str, dict[str, float]]:
    """For each margin of the second look: masks made per point, and the mIoU reached."""
    out = {}
    for margin in MARGINS:
        near = [a.first >= a.first.max() - margin for a in answers]
        got = [
            a.reached[np.where(n, a.judged, -1.0).argmax()]
            for a, n in zip(answers, near, strict=True)
        ]
        masks = float(np.mean([n.sum() for n in near]))
        out[str(margin)] = {"masks": round(masks, 2), "point": round(float(np.mean(got)), 4)}
    return out


def weights_of(tally: Tally) -> Values:
    """(N,) how much each object counts in the fit."""
    like = np.char.startswith(np.array(tally.source), LIKE_USE)
    return np.where(like, LIKE_USE_WEIGHT, 1.0)


def _run(args: argparse.Namespace) -> None:
    recipe = load_recipe(args.config)
    device = pick_device(recipe.hardware.device)
    prepare(recipe, device)
    model = model_of(read_weights(args.weights)).to(device).eval()
    tally = examine(model, split_sources(args.data, recipe.data), recipe, device)
    if not tally.area:
        raise RecipeError(f"{args.data}: no object in the validation part to fit on")
    change = fit(tally.answers, weights_of(tally))
    change_heads(model, change)
    after = [applied(a, change) for a in tally.answers]
    report = {
        "objects": len(after),
        "validation": tally.means(np.ones(len(after), bool)),
        "change": asdict(change),
        "before": figures(tally.answers),
        "after": figures(after),
        "second_look": second_look(after),
    }
    export_weights(args.out, model, {"scores_fitted_on": str(len(after))})
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def main(argv: Sequence[str]) -> int:
    """Run the command: 0 when the weights are written, 2 for a wrong recipe or folder."""
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_engines.train.honest", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--config", type=Path, required=True, help="recipe: the validation part")
    parser.add_argument("--weights", type=Path, required=True, help=".safetensors or .pt")
    parser.add_argument("--out", type=Path, required=True, help="the changed weights, .safetensors")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _run(parser.parse_args(argv))
    except (RecipeError, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    keep_memory()
    sys.exit(main(sys.argv[1:]))
