"""The training loop: steps, validations, checkpoints, to the recipe's last step or a signal."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.train import checkpoint as files
from edgesam_engines.train.config import Recipe, recipe_hash
from edgesam_engines.train.curves import draw_curves
from edgesam_engines.train.distil.heads import Heads
from edgesam_engines.train.distil.samples import Distillation
from edgesam_engines.train.integers import round_encoder
from edgesam_engines.train.journal import Journal, RunningMean
from edgesam_engines.train.network import (
    Ema,
    encode,
    freeze,
    hold_norms,
    new_model,
    new_optimizer,
    start_from,
    to_input,
    widths_of,
)
from edgesam_engines.train.rounds import Game, Stats, Targets, run_rounds
from edgesam_engines.train.samples import TARGET_STRIDE, Batches, Sample, batch_loader
from edgesam_engines.train.schedule import decay_start, rate_at
from edgesam_engines.train.signals import stop_signals
from edgesam_engines.train.sources import Split
from edgesam_engines.train.threads import ThreadTuner
from edgesam_engines.train.validate import validate
from edgesam_engines.train.watch import Watch

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
    heads: Heads | None = None  # of a distillation
    rounded: bool = False  # whether the encoder computes as its INT8 engine will

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        device: torch.device,
        *,
        pretrained: bool = True,
        init: Path | None = None,
        heads: Heads | None = None,
    ) -> Trainer:
        """A run at its first step, from the ImageNet trunk or from earlier weights."""
        if init is None:
            model = new_model(recipe.seed, pretrained=pretrained)
        else:
            weights = read_weights(init)
            model = new_model(recipe.seed, pretrained=False, widths=widths_of(weights))
            left = start_from(model, weights)
            log.info("from %s; not in it: %s", init, ", ".join(left) or "nothing")
        model = model.to(device)
        freeze(model, recipe.optim.frozen_blocks)
        model.train()
        ema = Ema(model, recipe.optim.ema)
        heads = heads.to(device) if heads is not None else None
        optimizer = new_optimizer(model, recipe.optim, heads)
        return cls(recipe, device, model, ema, optimizer, heads)

    @property
    def parts(self) -> files.Parts:
        """What a checkpoint holds."""
        return files.Parts(self.model, self.ema, self.optimizer, self.heads)

    def step(self, sample: Sample, step: int) -> Stats:
        """One optimisation step; `step` counts from 0 and seeds the prompts.

        Raises:
            FloatingPointError: the loss is not finite; nothing was changed.
        """
        rules = self.recipe.optim
        self._enter_phase(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rules.lr * rate_at(step, self.recipe.schedule) * group["scale"]
        loss, stats = self._loss(sample, step)
        if not math.isfinite(stats["loss"]):
            raise FloatingPointError(f"loss {stats['loss']} at step {step}")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), rules.clip)
        self.optimizer.step()
        self.ema.update(self.model, step)
        return {**stats, "gradient": float(norm)}

    def _loss(self, sample: Sample, step: int) -> tuple[Tensor, Stats]:
        generator = torch.Generator(self.device).manual_seed(self.recipe.seed * 1_000_003 + step)
        x = to_input(sample.images, self.device)
        cover = sample.targets.to(self.device)
        targets = Targets.from_bytes(cover, TARGET_STRIDE, self.recipe.loss)
        on_gpu = self.device.type == "cuda"
        with self._autocast(on_gpu):
            embedding = encode(self.model, x, self.recipe.optim.frozen_blocks)
        scorer = self._autocast(on_gpu or self.recipe.hardware.bf16_on_cpu)
        game = Game(self.model, embedding, targets, self.recipe, generator, scorer)
        if sample.teacher is None:
            return run_rounds(game)
        assert self.heads is not None
        return self.heads.loss(game, sample.teacher, step)

    def _enter_phase(self, step: int) -> None:
        """What changes towards the end of the schedule, also where a run is resumed late."""
        schedule = self.recipe.schedule
        if self.recipe.optim.hold_norms or step >= decay_start(schedule):
            hold_norms(self.model)
        if step >= schedule.total_steps - schedule.integer_steps and not self.rounded:
            log.info("step %d: from here the encoder computes in integers", step)
            round_encoder(self.model.encoder)
            self.rounded = True

    def _autocast(self, enabled: bool) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def train(
    recipe: Recipe,
    split: Split,
    out: Path,
    device: torch.device,
    init: Path | None = None,
    *,
    distillation: Distillation | None = None,
    watch: Watch | None = None,
) -> bool:
    """Run or go on with a training.

    Args:
        recipe: all numbers.
        split: the photos.
        out: folder of checkpoint, journal, curves and weights; made if missing.
        device: where to run.
        init: weights to start from where there is no checkpoint yet; None: the ImageNet trunk.
        distillation: a teacher's answers to learn from as well.
        watch: is told how it goes.

    Returns:
        Whether the recipe's last step is done; False after SIGTERM or SIGINT.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, digest = out / files.CHECKPOINT, recipe_hash(recipe)
    heads = distillation.heads() if distillation is not None else None
    trainer = Trainer.create(recipe, device, init=path if path.exists() else init, heads=heads)
    start = files.load_checkpoint(path, trainer.parts, digest) if path.exists() else 0
    journal = Journal(out / JOURNAL)
    journal.add("start", start, {"recipe": recipe.name, "hash": digest, "device": device.type})
    log.info("%s (%s) from step %d of %d", recipe.name, digest, start, recipe.schedule.total_steps)
    photos = recipe.batch.photos_cuda if device.type == "cuda" else recipe.batch.photos_cpu
    batches: Dataset[Sample] = Batches(recipe, split, photos)
    if distillation is not None:
        batches = distillation.mixed_with(batches, photos, labelled=any(split.train.values()))
    watch = watch or Watch()
    with stop_signals() as stopped:
        run = _Run(trainer, split, out, journal, watch, stopped)
        if start == 0 and recipe.validation.first:
            run.validate(0)
        done = run.steps(batches, start)
    _save(trainer, out, done)
    if stopped:
        watch.stopped(done, stopped[0])
    return done >= recipe.schedule.total_steps


@dataclass
class _Run:
    """A run in progress."""

    trainer: Trainer
    split: Split
    out: Path
    journal: Journal
    watch: Watch
    stopped: list[int]

    def validate(self, done: int) -> None:
        """Measure the averaged weights, and note it."""
        trainer = self.trainer
        figures = validate(trainer.ema.model, self.split, trainer.recipe, trainer.device)
        self.journal.add("validation", done, figures)
        self.watch.validated(done, figures)
        draw_curves(self.out / JOURNAL, self.out / CURVES)

    def steps(self, batches: Dataset[Sample], start: int) -> int:
        """Steps until the last or a signal; gives the number of steps done."""
        trainer, recipe = self.trainer, self.trainer.recipe
        on_gpu = trainer.device.type == "cuda"
        tuner = ThreadTuner(1 if on_gpu else recipe.hardware.threads)
        means, clock, saved = RunningMean(), time.monotonic(), time.monotonic()
        done = start
        for done, sample in enumerate(batch_loader(batches, recipe, start), start + 1):
            waited = time.monotonic() - clock
            stats = trainer.step(sample, done - 1)
            seconds = time.monotonic() - clock
            means.add({**stats, "seconds": seconds, "waited": waited, "threads": tuner.threads})
            tuner.observe(sample.images[..., 0].numel(), seconds - waited)
            self.watch.step(done, means.rounded())
            if done % recipe.saving.log_every_steps == 0:
                rate = trainer.optimizer.param_groups[1]["lr"]
                self.journal.add("step", done, {**means.rounded(), "lr": round(rate, 7)})
                log.info("step %d %s", done, means.rounded())
            if done % recipe.validation.every_steps == 0 or done == recipe.schedule.total_steps:
                self.validate(done)
            if time.monotonic() - saved > 60 * recipe.saving.every_minutes:
                _save(trainer, self.out, done)
                saved = time.monotonic()
            if done == decay_start(recipe.schedule) and recipe.saving.keep_before_decay:
                _save(trainer, self.out, done, files.BEFORE_DECAY)
            if self.stopped:
                log.info("stopped by signal %d after step %d", self.stopped[0], done)
                break
            clock = time.monotonic()
        return done


def _save(trainer: Trainer, out: Path, done: int, name: str = files.CHECKPOINT) -> None:
    digest = recipe_hash(trainer.recipe)
    files.save_checkpoint(out / name, trainer.parts, done, digest)
    notes = {"recipe": trainer.recipe.name, "recipe_hash": digest, "step": str(done)}
    files.export_weights(out / files.WEIGHTS, trainer.ema.model, notes)
