"""The rounds of one step: a first prompt, then corrections, with a loss for each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from edgesam_engines.families.pocketsam import (
    FOREGROUND,
    PAD_LABEL,
    TAIL,
    Embedding,
    PocketSAM,
    Prompts,
)
from edgesam_engines.train.config import Loss, Recipe
from edgesam_engines.train.losses import (
    achieved_iou,
    frame_loss,
    hard_weight,
    iou_loss,
    mask_loss,
    outline_weight,
    rank_loss,
)
from edgesam_engines.train.prompts import FIRST_SLOTS, error_clicks, first_prompts, tight_boxes

TokenLoss = Callable[[Tensor], Tensor]  # (B, N, D) tokens of the first answers to a loss
MASK_STRIDE = 4  # of the model's masks
FAIR_IOU = 0.6  # an earlier mask this good says alone what is meant
Stats = dict[str, float]


class Targets(NamedTuple):
    """The objects asked for, at two resolutions; covered part in [0, 1]."""

    coarse: Tensor  # (B, N, h4, w4), the resolution of the model's masks
    fine: Tensor  # (B, N, H, W)
    weight: Tensor  # (B, N, h4, w4) of the pixels in the cross entropy
    boxes: Tensor  # (B, N, 2, 2) tight, in image sides
    trust: Tensor  # (B, N): what IoU these masks have themselves; 1 for true ones

    @classmethod
    def from_bytes(cls, coverage: Tensor, stride: int, rules: Loss) -> Targets:
        """From uint8 (B, N, H, W) at `stride` pixels of the photo."""
        fine = coverage.float() / 255
        coarse = functional.avg_pool2d(fine, MASK_STRIDE // stride)
        weight = outline_weight(coarse, rules.boundary, rules.boundary_radius)
        trust = torch.ones(fine.shape[:2], device=fine.device)
        return cls(coarse, fine, weight, tight_boxes(fine), trust)

    def pick(self, objects: slice) -> Targets:
        """Some of the N."""
        return Targets(*(t[:, objects] for t in self))


@dataclass(frozen=True)
class Answer:
    """Masks for N prompts: logits (B, N, M, h4, w4); the rest (B, N, M)."""

    logits: Tensor
    scored: Tensor  # IoU logits before the mask was made
    judged: Tensor  # and after
    achieved: Tensor
    worth: Tensor  # what to predict: the IoU with the truth, as far as the targets tell it
    loss: Tensor  # of each mask


class First(NamedTuple):
    """First prompts; the first `boxes` of the N objects are asked for by a box."""

    prompts: Prompts
    boxes: int


@dataclass(frozen=True)
class Game:
    """What all rounds of a step share."""

    model: PocketSAM
    embedding: Embedding
    targets: Targets
    recipe: Recipe
    generator: Generator
    autocast: AbstractContextManager[object]
    first: First | None = None  # None: drawn
    token_loss: TokenLoss | None = None

    def score(self, prompts: Prompts) -> Tensor:
        """Mask tokens with their tails, in fp32."""
        with self.autocast:
            tokens: Tensor = self.model.scorer(self.embedding, prompts)[1]
        return tokens.float()

    def answer(self, tokens: Tensor, prompts: Prompts, objects: slice, masks: slice) -> Answer:
        """Make and judge some masks of some objects.

        The mask head stays in fp32: it multiplies coordinates by the inverse of the frame's size,
        and with the eight bits of bf16 small frames would get noise. Frames learn from the objects'
        boxes alone, the judge from masks as they are; so neither bends the masks.
        """
        tokens = tokens[:, objects, masks]
        b, n, m, width = tokens.shape
        asked = Prompts(*(t[:, objects].repeat_interleave(m, 1) for t in prompts))
        pixels = self.embedding.pixels.float()
        token, frame, scored = torch.split(tokens, [width - TAIL, TAIL - 1, 1], -1)
        given = torch.cat([token, frame.detach(), scored.detach()], -1).flatten(1, 2)
        logits = self.model.mask_head(pixels, given, asked)
        judged = self.model.judge(self.embedding.grid16.float(), given, logits.detach())
        logits = logits.view(b, n, m, *logits.shape[-2:])
        true, rules = self.targets.pick(objects), self.recipe.loss
        achieved = achieved_iou(logits.detach(), true.fine)
        loss = mask_loss(logits, true.coarse, true.weight, rules)
        if rules.hard:
            loss = loss * hard_weight(achieved, rules.hard)
        loss = loss + rules.frame * frame_loss(frame, true.boxes)
        worth = achieved * true.trust.unsqueeze(-1)
        return Answer(logits, scored.squeeze(-1), judged.view(b, n, m), achieved, worth, loss)


def _honesty(answer: Answer) -> Tensor:
    """(B, N, M): how wrong both predictions of the IoU are."""
    return iou_loss(answer.scored, answer.worth) + iou_loss(answer.judged, answer.worth)


def run_rounds(game: Game) -> tuple[Tensor, Stats]:
    """Loss of all rounds, weighted as the recipe says, and figures to log."""
    recipe, rules = game.recipe, game.recipe.prompts
    prompts, boxes = game.first or _draw_first(game)
    stats: Stats = {}
    loss, shown = _first_round(game, prompts, boxes, stats)
    total = recipe.loss.rounds[0] * loss
    for i in range(1, rules.rounds):
        prompts = _corrected(game, prompts, shown, FIRST_SLOTS + i - 1)
        asked = _some_alone(game, prompts)
        answer = game.answer(game.score(asked), asked, slice(None), slice(0, 1))
        loss = answer.loss + recipe.loss.iou * _honesty(answer)
        total = total + recipe.loss.rounds[i] * loss.mean()
        shown = answer.logits[:, :, 0].detach()
        stats["clicks"] = float(answer.achieved.mean())  # the last round's stays
    stats["loss"] = float(total.detach())
    return total, stats


def _draw_first(game: Game) -> First:
    targets, generator, rules = game.targets, game.generator, game.recipe.prompts
    n, device = targets.coarse.shape[1], targets.coarse.device
    lucky = float(torch.rand((), generator=generator, device=device))
    boxes = int(n * rules.box + lucky)  # so that the mean over the steps is exact
    coords, labels = first_prompts(targets.coarse, targets.fine, boxes, rules, generator)
    return First(without_mask(coords, labels, targets.coarse), boxes)


def without_mask(coords: Tensor, labels: Tensor, like: Tensor) -> Prompts:
    """Prompts of points and boxes alone; `like` has the shape of their masks."""
    has_mask = torch.zeros(*labels.shape[:2], 1, device=labels.device)
    return Prompts(coords, labels, torch.zeros_like(like), has_mask)


def _first_round(game: Game, prompts: Prompts, boxes: int, stats: Stats) -> tuple[Tensor, Tensor]:
    """The loss, and the logits (B, N, h4, w4), detached, that a user would be shown."""
    tokens = game.score(prompts)
    total = torch.zeros((), device=tokens.device)
    shown = []
    used = torch.zeros(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    if boxes:
        answer = game.answer(tokens, prompts, slice(0, boxes), slice(0, 1))
        each = answer.loss + game.recipe.loss.iou * _honesty(answer)
        total = total + each.sum()
        shown.append(answer.logits[:, :, 0].detach())
        stats["box"] = float(answer.achieved.mean())
    if boxes < tokens.shape[1]:
        answer = game.answer(tokens, prompts, slice(boxes, None), slice(None))
        total = total + _point_loss(answer, game.recipe.loss).sum()
        best = answer.judged[:, :, 1:].argmax(-1, keepdim=True) + 1
        index = best[..., None, None].expand(-1, -1, 1, *answer.logits.shape[-2:])
        shown.append(answer.logits.detach().gather(2, index).squeeze(2))
        stats["point"] = float(answer.achieved.gather(2, best).mean())
        first = answer.scored[:, :, 1:].argmax(-1, keepdim=True) + 1
        stats["point_scored"] = float(answer.achieved.gather(2, first).mean())
        stats["point_best"] = float(answer.achieved[:, :, 1:].amax(-1).mean())
        gap = (torch.sigmoid(answer.judged) - answer.achieved).detach().abs()
        stats["iou_error"] = float(gap.gather(2, best).mean())
        used[:, boxes:] = answer.loss[:, :, 1:].argmin(-1) + 1
    if game.token_loss is not None:
        index = used[..., None, None].expand(-1, -1, 1, tokens.shape[-1] - TAIL)
        total = total + game.token_loss(tokens.gather(2, index).squeeze(2)) * used.numel()
    return total / (tokens.shape[0] * tokens.shape[1]), torch.cat(shown, 1)


def _point_loss(answer: Answer, rules: Loss) -> Tensor:
    """(B, N): token 0 alone, the best of the other three, how they are scored and ordered."""
    three = answer.loss[:, :, 1:]
    masks = (
        rules.single_on_points * answer.loss[:, :, 0]
        + three.amin(-1)
        + rules.others * three.mean(-1)
    )
    order = sum(
        rank_loss(guess[:, :, 1:], answer.achieved[:, :, 1:])
        for guess in (answer.scored, answer.judged)
    )
    return masks + rules.iou * _honesty(answer).mean(-1) + rules.rank * order


def _corrected(game: Game, prompts: Prompts, shown: Tensor, slot: int) -> Prompts:
    """The prompts with one more click at `slot`, and part of them with the mask just shown."""
    rules, generator = game.recipe.prompts, game.generator
    xy, label = error_clicks(shown, game.targets.coarse, rules, generator)
    coords, labels = prompts.coords.clone(), prompts.labels.clone()
    coords[:, :, slot], labels[:, :, slot] = xy, label
    chance = torch.rand(prompts.has_mask.shape, generator=generator, device=shown.device)
    return Prompts(coords, labels, shown, (chance < rules.mask).float())


def _some_alone(game: Game, prompts: Prompts) -> Prompts:
    """Part of the prompts as their earlier mask and background clicks alone.

    Only where that mask is mostly the object: otherwise nothing says what is meant.
    """
    rules = game.recipe.prompts
    if not rules.mask_alone:
        return prompts
    chance = torch.rand(
        prompts.has_mask.shape, generator=game.generator, device=prompts.mask.device
    )
    fair = achieved_iou(prompts.mask.unsqueeze(2), game.targets.fine) > FAIR_IOU
    alone = (chance < rules.mask_alone) & fair & (prompts.has_mask > 0)
    hidden = alone & (prompts.labels >= FOREGROUND)
    return prompts._replace(labels=prompts.labels.masked_fill(hidden, float(PAD_LABEL)))
