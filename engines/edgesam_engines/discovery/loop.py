"""The training loop: steps, validations, checkpoints, to the recipe's last step."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from edgesam_engines.checkpoints import write_fp16
from edgesam_engines.discovery import batches
from edgesam_engines.discovery.batches import Batch
from edgesam_engines.discovery.config import DiscoveryRecipe
from edgesam_engines.discovery.features import Stored, read
from edgesam_engines.discovery.head import CELLS, DiscoveryHead, boxes_of, cells
from edgesam_engines.discovery.loss import Places, loss_of
from edgesam_engines.discovery.recalls import Recalls
from edgesam_engines.train.checkpoint import replace_file
from edgesam_engines.train.journal import Journal, RunningMean
from edgesam_rt.discovery import CANDIDATES
from edgesam_rt.imaging.boxes import choose_boxes
from edgesam_rt.manifest import BoxFacts
from edgesam_rt.types import F32

CHECKPOINT, JOURNAL = "checkpoint.pt", "journal.jsonl"
_MEASURED = 96  # photos that the features' size is taken from
_LOG_EVERY = 25
_UNIT = 4096  # boxes in encoder sides times this, so that thresholds in px mean nothing here
log = logging.getLogger(__name__)


class Scaled(nn.Module):
    """A head whose inputs are brought to mean 0 and deviation 1 per channel while it learns."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, head: DiscoveryHead, statistics: Tensor) -> None:
        """`statistics` (2, 2, D): of grid16 and grid8, mean and deviation."""
        super().__init__()
        self.head = head
        self.register_buffer("mean", statistics[:, 0])
        self.register_buffer("deviation", statistics[:, 1])

    def forward(self, batch: Batch) -> Tensor:
        """See `DiscoveryHead.forward`."""
        grids = [
            (grid - self.mean[i]) / self.deviation[i]
            for i, grid in enumerate((batch.grid16, batch.grid8))
        ]
        return cast(Tensor, self.head(*grids, batch.covered))

    @torch.no_grad()
    def folded(self) -> DiscoveryHead:
        """A head of the same values that takes features as they are."""
        head = copy.deepcopy(self.head)
        for i, layer in enumerate((head.squeeze16, head.squeeze8)):
            layer.weight.div_(self.deviation[i])
            layer.bias.sub_(layer.weight @ self.mean[i])
        return head.eval()


def statistics(paths: Sequence[Path]) -> Tensor:
    """Mean and deviation of every channel of both grids over some photos, (2, 2, D)."""
    step = max(1, len(paths) // _MEASURED)
    stored = [read(p) for p in paths[::step]]
    rows = []
    for grids in ([s.grid16 for s in stored], [s.grid8 for s in stored]):
        values = np.concatenate([g.reshape(-1, g.shape[-1])[::7].astype(np.float32) for g in grids])
        rows.append(np.stack([values.mean(0), values.std(0) + 1e-3]))
    return torch.from_numpy(np.stack(rows))


@dataclass
class Trainer:
    """Head, average and optimizer of a run."""

    recipe: DiscoveryRecipe
    model: Scaled
    average: Scaled
    optimizer: torch.optim.AdamW

    @classmethod
    def create(cls, recipe: DiscoveryRecipe, paths: Sequence[Path]) -> Trainer:
        """A run at its first step."""
        torch.manual_seed(recipe.seed)
        model = Scaled(DiscoveryHead(recipe.head.width, recipe.head.blocks), statistics(paths))
        rules = recipe.training
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=rules.lr, weight_decay=rules.weight_decay
        )
        return cls(recipe, model, copy.deepcopy(model).eval(), optimizer)

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One optimisation step.

        Raises:
            FloatingPointError: the loss is not finite; nothing was changed.
        """
        rules = self.recipe.training
        for group in self.optimizer.param_groups:
            group["lr"] = rules.lr * rate_at(step, rules.warmup_steps, rules.steps)
        box, score, goals = batch_loss(self.recipe, self.model(batch), batch)
        total = (self.recipe.loss.box * box + score) / goals.clamp(min=1.0)
        if not math.isfinite(float(total.detach())):
            raise FloatingPointError(f"loss {float(total.detach())} at step {step}")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.model.parameters(), rules.clip)
        self.optimizer.step()
        self._average(min(rules.ema, (1 + step) / (10 + step)))
        share = goals.detach().clamp(min=1.0)
        return {
            "box": float(box.detach() / share),
            "score": float(score.detach() / share),
            "goals": float(goals) / len(batch.goals),
        }

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        for mine, other in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mine.lerp_(other, 1 - keep)


def batch_loss(
    recipe: DiscoveryRecipe, found: Tensor, batch: Batch
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of box and score loss over a batch, and of the goals."""
    covered = torch.cat(
        [batch.covered[:, :, ::n, ::n].flatten(1) for n in CELLS], 1
    )  # pictures end at multiples of the coarsest cell
    h, w = batch.grid8.shape[1:3]
    parts = []
    for i, goal in enumerate(batch.goals):
        centres, sizes = cells(h, w, batch.sides8[i], found)
        places = Places(centres, 1 / batch.sides8[i], covered[i] > 0)
        boxes = boxes_of(found[i, :, :4], centres, sizes)
        parts.append(loss_of(found[i, :, 4], boxes, goal, places, recipe.loss))
    box, score, goals = (torch.stack(rows).sum() for rows in zip(*parts, strict=True))
    return box, score, goals


def rate_at(step: int, warmup: int, total: int) -> float:
    """Learning rate of a step, relative to the recipe's."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def train(recipe: DiscoveryRecipe, features: Path, run: Path, out: Path) -> None:
    """Train a head, or go on with it, and write it.

    Args:
        recipe: all numbers.
        features: the cache.
        run: folder of checkpoint and journal; made if missing.
        out: the head's safetensors file (fp16).
    """
    run.mkdir(parents=True, exist_ok=True)
    paths, kept = (batches.files(features, part) for part in ("train", "validation"))
    trainer = Trainer.create(recipe, paths)
    digest = hashlib.sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()[:12]
    start = _resume(trainer, run / CHECKPOINT, digest)
    journal, means = Journal(run / JOURNAL), RunningMean(0.95)
    drawing, rules = batches.Drawing(paths, recipe), recipe.training
    log.info("%s (%s) from step %d of %d", recipe.name, digest, start, rules.steps)

    def load(step: int) -> Batch:
        return batches.load(drawing.paths(step), recipe.truth)

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(load, start)
        for step in range(start, rules.steps):
            batch, coming = coming.result(), ahead.submit(load, min(step + 1, rules.steps - 1))
            means.add(trainer.step(batch, step))
            done = step + 1
            if done % _LOG_EVERY == 0:
                journal.add("train", done, means.rounded())
                log.info("step %d %s", done, means.rounded())
            if done % rules.validate_every == 0 or done == rules.steps:
                figures = validate(trainer.average.folded(), kept, recipe)
                journal.add("validation", done, figures)
                log.info("step %d %s", done, {k: v for k, v in figures.items() if k != "by_source"})
            if done % rules.save_every == 0 or done == rules.steps:
                _save(trainer, run / CHECKPOINT, done, digest)
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = trainer.average.folded().state_dict()
    replace_file(out, lambda p: write_fp16(weights, p))
    log.info("written: %s", out)


def _save(trainer: Trainer, path: Path, step: int, digest: str) -> None:
    state = {
        "step": step,
        "recipe": digest,
        "model": trainer.model.state_dict(),
        "average": trainer.average.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
    }
    replace_file(path, lambda p: torch.save(state, p))


def _resume(trainer: Trainer, path: Path, digest: str) -> int:
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != digest:
        log.warning("the recipe changed since %s: %s then, %s now", path, state["recipe"], digest)
    trainer.model.load_state_dict(state["model"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


@torch.no_grad()
def predict(head: DiscoveryHead, photo: Stored) -> tuple[F32, F32]:
    """All boxes (N, 4), encoder sides, and scores (N,) of a stored photo."""
    grid16, grid8 = (
        torch.from_numpy(g.astype(np.float32))[None] for g in (photo.grid16, photo.grid8)
    )
    found = head(grid16, grid8)[0]
    h, w = photo.grid8.shape[:2]
    boxes = boxes_of(found[:, :4], *cells(h, w, photo.side8, found))
    return boxes.numpy(), torch.sigmoid(found[:, 4]).numpy()


def chosen(boxes: F32, scores: F32, photo: Stored, facts: BoxFacts) -> F32:
    """(K, 4) the boxes that the runtime would take, best first, encoder sides."""
    h, w = (n / photo.side8 for n in photo.grid8.shape[:2])
    kept, _ = choose_boxes(
        boxes * np.float32(_UNIT),
        scores,
        (int(h * _UNIT), int(w * _UNIT)),
        facts,
        CANDIDATES,
    )
    return np.asarray(kept / np.float32(_UNIT), np.float32)


def validate(head: DiscoveryHead, paths: Sequence[Path], recipe: DiscoveryRecipe) -> dict[str, Any]:
    """Box recall of a head over stored photos with labels."""
    recalls = Recalls()
    for path in paths:
        photo = read(path)
        if len(photo.labelled):
            boxes, scores = predict(head, photo)
            found = chosen(boxes, scores, photo, recipe.facts)
            recalls.add(photo.source, photo.labelled, found)
    return recalls.report(recipe.features.all_of)
