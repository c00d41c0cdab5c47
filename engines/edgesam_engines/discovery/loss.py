"""The loss of one photo: cells are given objects by how well they already answer for them.

Assignment and scores that learn the IoU of their box as in TOOD (Feng et al. 2021), boxes by GIoU
(Rezatofighi et al. 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesam_engines.discovery.config import LossRules

_SCORE_POWER, _IOU_POWER = 0.5, 4.0
_SMALLEST_HALF = 0.75  # an object is looked for in cells of stride 8 at least this near its centre
_TINY = 1e-7


class Goal(NamedTuple):
    """One photo's truth as tensors; see `truth.Truth`."""

    boxes: Tensor
    weights: Tensor
    perhaps: Tensor
    labelled: Tensor
    background: float
    near: float


class Places(NamedTuple):
    """All cells of a picture.

    Attributes:
        centres: (N, 2) encoder sides.
        finest: side of a stride-8 cell, encoder sides.
        covered: (N,) whether the picture is there; a batch has cells behind its smaller pictures.
    """

    centres: Tensor
    finest: float
    covered: Tensor


class Assigned(NamedTuple):
    """Which cells answer for what.

    Attributes:
        is_taken: (N,) cells that answer for an object.
        which: (N,) that object; 0 elsewhere.
        goal: (N,) what the score is to be; 0 elsewhere.
    """

    is_taken: Tensor
    which: Tensor
    goal: Tensor


class Loss(NamedTuple):
    """Sums over a photo, and the sum of goals to divide them by."""

    box: Tensor
    score: Tensor
    goals: Tensor


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box of a (T, 4) with every box of b (N, 4): (T, N)."""
    a = a.unsqueeze(1)
    shared = (torch.minimum(a[..., 2:], b[:, 2:]) - torch.maximum(a[..., :2], b[:, :2])).clamp(
        min=0
    )
    both = shared.prod(-1)
    return both / (_area(a) + _area(b) - both + _TINY)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of boxes in pairs, (K, 4) each: (K,) in [-1, 1]."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    both = shared.prod(-1)
    union = _area(a) + _area(b) - both
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1)
    return both / (union + _TINY) - (hull - union) / (hull + _TINY)


def inside(boxes: Tensor, centres: Tensor, smallest: float) -> Tensor:
    """Whether cells lie in boxes that are at least so wide from their middle: (T, N)."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    away = (centres - middle.unsqueeze(1)).abs()
    return (away < half.clamp(min=smallest).unsqueeze(1)).all(-1)


@torch.no_grad()
def assign(boxes: Tensor, scores: Tensor, goal: Goal, places: Places, count: int) -> Assigned:
    """Give each object the cells that answer best for it so far.

    Args:
        boxes: (N, 4) predicted.
        scores: (N,) predicted, in [0, 1].
        goal: T objects.
        places: the cells.
        count: cells per object.
    """
    n = len(boxes)
    if not len(goal.boxes):
        empty = torch.zeros(n, device=boxes.device)
        return Assigned(empty.bool(), empty.long(), empty)
    iou = overlaps(goal.boxes, boxes)
    may = inside(goal.boxes, places.centres, _SMALLEST_HALF * places.finest) & places.covered
    fit = (scores.pow(_SCORE_POWER) * iou.pow(_IOU_POWER) + _TINY * iou + 1e-20) * may
    best = torch.zeros_like(may)
    best.scatter_(1, fit.topk(min(count, n), 1).indices, True)
    best &= may
    shared = torch.where(best, iou + _TINY, 0.0)
    which = shared.argmax(0)
    is_taken = best.any(0)
    own = F.one_hot(which, len(goal.boxes)).T.bool() & is_taken
    fit, iou = fit * own, iou * own
    scale = iou.amax(1, keepdim=True) / (fit.amax(1, keepdim=True) + 1e-20)
    return Assigned(is_taken, which, (fit * scale).amax(0).clamp(0, 1))


def loss_of(logits: Tensor, boxes: Tensor, goal: Goal, places: Places, rules: LossRules) -> Loss:
    """The loss of one photo.

    Args:
        logits: (N,) of the score.
        boxes: (N, 4) predicted, encoder sides.
        goal: its truth.
        places: its cells.
        rules: of the recipe.
    """
    scores = torch.sigmoid(logits)
    found = assign(boxes.detach(), scores.detach(), goal, places, rules.assigned)
    taken = found.is_taken
    weight = _background(goal, places) * rules.negative
    if taken.any():
        own = goal.weights[found.which]
        weight = torch.where(taken, own, weight)
        pull = (own * found.goal)[taken]
        box = ((1 - giou(boxes[taken], goal.boxes[found.which[taken]])) * pull).sum()
        goals = pull.sum()
    else:
        box, goals = boxes.sum() * 0, boxes.sum().detach() * 0
    score = F.binary_cross_entropy_with_logits(logits, found.goal, weight, reduction="sum")
    return Loss(box, score, goals)


def _background(goal: Goal, places: Places) -> Tensor:
    """(N,) how surely cells that answer for nothing are background."""
    weight = torch.full_like(places.centres[:, 0], goal.background)
    if len(goal.perhaps):
        doubtful = inside(goal.perhaps, places.centres, 0.0).any(0)
        weight = torch.where(doubtful, 0.0, weight)
    if len(goal.labelled):
        near = inside(goal.labelled, places.centres, 0.0).any(0)
        weight = torch.where(near, weight.clamp(min=goal.near), weight)
    return weight * places.covered
