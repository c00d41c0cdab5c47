"""The training loop: steps, validations, checkpoints, to the recipe's last step or a signal."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.train import checkpoint as files
from edgesam_engines.train.config import Recipe, recipe_hash
from edgesam_engines.train.curves import draw_curves
from edgesam_engines.train.integers import round_encoder
from edgesam_engines.train.journal import Journal, RunningMean
from edgesam_engines.train.network import (
    Ema,
    encode,
    freeze,
    hold_norms,
    load_weights,
    new_model,
    new_optimizer,
    start_from,
    to_input,
    widths_of,
)
from edgesam_engines.train.rounds import Game, Stats, Targets, run_rounds
from edgesam_engines.train.samples import TARGET_STRIDE, Sample, batch_loader
from edgesam_engines.train.schedule import decay_start, rate_at
from edgesam_engines.train.sources import Split
from edgesam_engines.train.threads import ThreadTuner
from edgesam_engines.train.validate import validate

JOURNAL, CURVES = "journal.jsonl", "curves.svg"
log = logging.getLogger(__name__)


@dataclass
class Trainer:
    """Model, average and optimizer of a run, and how to make one step."""

    recipe: Recipe
    device: torch.device
    model: PocketSAM
    ema: Ema
    optimizer: torch.optim.AdamW
    rounded: bool = False  # whether the encoder computes as its INT8 engine will

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        device: torch.device,
        *,
        pretrained: bool = True,
        init: Path | None = None,
    ) -> Trainer:
        """A run at its first step, from the ImageNet trunk or from earlier weights."""
        if init is None:
            model = new_model(recipe.seed, pretrained=pretrained)
        else:
            weights = load_weights(init)
            model = new_model(recipe.seed, pretrained=False, widths=widths_of(weights))
            left = start_from(model, weights)
            log.info("from %s; not in it: %s", init, ", ".join(left) or "nothing")
        model = model.to(device)
        freeze(model, recipe.optim.frozen_blocks)
        model.train()
        ema = Ema(model, recipe.optim.ema)
        return cls(recipe, device, model, ema, new_optimizer(model, recipe.optim))

    def step(self, sample: Sample, step: int) -> Stats:
        """One optimisation step; `step` counts from 0 and seeds the prompts.

        Raises:
            FloatingPointError: the loss is not finite; nothing was changed.
        """
        rules = self.recipe.optim
        self._enter_phase(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rules.lr * rate_at(step, self.recipe.schedule) * group["scale"]
        generator = torch.Generator(self.device).manual_seed(self.recipe.seed * 1_000_003 + step)
        x = to_input(sample.images, self.device)
        cover = sample.targets.to(self.device)
        targets = Targets.from_bytes(cover, TARGET_STRIDE, self.recipe.loss)
        on_gpu = self.device.type == "cuda"
        with self._autocast(on_gpu):
            embedding = encode(self.model, x, rules.frozen_blocks)
        scorer = self._autocast(on_gpu or self.recipe.hardware.bf16_on_cpu)
        game = Game(self.model, embedding, targets, self.recipe, generator, scorer)
        loss, stats = run_rounds(game)
        if not math.isfinite(stats["loss"]):
            raise FloatingPointError(f"loss {stats['loss']} at step {step}")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), rules.clip)
        self.optimizer.step()
        self.ema.update(self.model, step)
        return {**stats, "gradient": float(norm)}

    def _enter_phase(self, step: int) -> None:
        """What changes towards the end of the schedule, also where a run is resumed late."""
        schedule = self.recipe.schedule
        if step >= decay_start(schedule):
            hold_norms(self.model)
        if step >= schedule.total_steps - schedule.integer_steps and not self.rounded:
            log.info("step %d: from here the encoder computes in integers", step)
            round_encoder(self.model.encoder)
            self.rounded = True

    def _autocast(self, enabled: bool) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def train(
    recipe: Recipe, split: Split, out: Path, device: torch.device, init: Path | None = None
) -> bool:
    """Run or go on with a training.

    Args:
        recipe: all numbers.
        split: the photos.
        out: folder of checkpoint, journal, curves and weights; made if missing.
        device: where to run.
        init: weights to start from where there is no checkpoint yet; None: the ImageNet trunk.

    Returns:
        Whether the recipe's last step is done; False after SIGTERM or SIGINT.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, digest = out / files.CHECKPOINT, recipe_hash(recipe)
    trainer = Trainer.create(recipe, device, init=path if path.exists() else init)
    start = 0
    if path.exists():
        start = files.load_checkpoint(path, trainer.model, trainer.ema, trainer.optimizer, digest)
    journal = Journal(out / JOURNAL)
    journal.add("start", start, {"recipe": recipe.name, "hash": digest, "device": device.type})
    log.info("%s (%s) from step %d of %d", recipe.name, digest, start, recipe.schedule.total_steps)
    with _stop_signals() as stopped:
        done = _run(trainer, split, out, start, journal, stopped)
    _save(trainer, out, done)
    return done >= recipe.schedule.total_steps


def _run(
    trainer: Trainer, split: Split, out: Path, start: int, journal: Journal, stopped: list[int]
) -> int:
    """Steps until the last or a signal; gives the number of steps done."""
    recipe = trainer.recipe
    on_gpu = trainer.device.type == "cuda"
    photos = recipe.batch.photos_cuda if on_gpu else recipe.batch.photos_cpu
    tuner = ThreadTuner(1 if on_gpu else recipe.hardware.threads)
    means, clock, saved = RunningMean(), time.monotonic(), time.monotonic()
    done = start
    for done, sample in enumerate(batch_loader(recipe, split, photos, start), start + 1):
        waited = time.monotonic() - clock
        stats = trainer.step(sample, done - 1)
        seconds = time.monotonic() - clock
        means.add({**stats, "seconds": seconds, "waited": waited, "threads": tuner.threads})
        tuner.observe(sample.images[..., 0].numel(), seconds - waited)
        if done % recipe.saving.log_every_steps == 0:
            rate = trainer.optimizer.param_groups[1]["lr"]
            journal.add("step", done, {**means.rounded(), "lr": round(rate, 7)})
            log.info("step %d %s", done, means.rounded())
        if done % recipe.validation.every_steps == 0 or done == recipe.schedule.total_steps:
            journal.add(
                "validation", done, validate(trainer.ema.model, split, recipe, trainer.device)
            )
            draw_curves(out / JOURNAL, out / CURVES)
        if time.monotonic() - saved > 60 * recipe.saving.every_minutes:
            _save(trainer, out, done)
            saved = time.monotonic()
        if done == decay_start(recipe.schedule) and recipe.saving.keep_before_decay:
            _save(trainer, out, done, files.BEFORE_DECAY)
        if stopped:
            log.info("stopped by signal %d after step %d", stopped[0], done)
            break
        clock = time.monotonic()
    return done


def _save(trainer: Trainer, out: Path, done: int, name: str = files.CHECKPOINT) -> None:
    digest = recipe_hash(trainer.recipe)
    files.save_checkpoint(out / name, trainer.model, trainer.ema, trainer.optimizer, done, digest)
    notes = {"recipe": trainer.recipe.name, "recipe_hash": digest, "step": str(done)}
    files.export_weights(out / files.WEIGHTS, trainer.ema.model, notes)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that SIGTERM and SIGINT add themselves to, instead of ending the process."""
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    old = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
