"""Steps, resuming, stopping and what a run leaves on disk."""

from __future__ import annotations

import json
import math
import os
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.lite0 import HIDDEN
from edgesam_engines.families.pocketsam import Widths
from edgesam_engines.train import loop
from edgesam_engines.train.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    load_checkpoint,
    replace_file,
    save_checkpoint,
)
from edgesam_engines.train.cli import EXIT_DONE, EXIT_USAGE, main
from edgesam_engines.train.config import Recipe, Schedule
from edgesam_engines.train.curves import draw_curves
from edgesam_engines.train.journal import Journal, read_journal
from edgesam_engines.train.network import encode, new_model
from edgesam_engines.train.samples import Batches, Sample
from edgesam_engines.train.schedule import rate_at
from edgesam_engines.train.threads import KEEP_STEPS, PROBE_STEPS, ThreadTuner
from tests.engines.train_doubles import as_toml, tiny_recipe, tiny_split

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights: these tests want no download and no package of weights."""
    create = loop.Trainer.create
    monkeypatch.setattr(
        loop.Trainer,
        "create",
        lambda recipe, device, **more: create(recipe, device, pretrained=False, **more),
    )


def batch(tmp_path: Path, recipe: Recipe, step: int = 0) -> Sample:
    return Batches(recipe, tiny_split(tmp_path, recipe), 2)[step]


def _kernel(trainer: loop.Trainer) -> torch.Tensor:
    weight: torch.Tensor = trainer.model.state_dict()["mask_head.kernel.0.weight"]
    return weight


def test_steps_on_one_batch_lower_the_loss(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, steps=50)
    sample = batch(tmp_path, recipe)
    trainer = loop.Trainer.create(recipe, CPU)
    losses = [trainer.step(sample, i)["loss"] for i in range(8)]
    assert losses[-1] < 0.8 * losses[0]


def test_frozen_blocks_stay_and_the_average_follows(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    trainer = loop.Trainer.create(recipe, CPU)
    before = {k: v.clone() for k, v in trainer.ema.model.state_dict().items()}
    trainer.step(batch(tmp_path, recipe), 0)
    after = trainer.ema.model.state_dict()
    frozen = [k for k in before if k.startswith(("encoder.trunk.stem", "encoder.trunk.blocks.2."))]
    assert all(before[k].equal(after[k]) for k in frozen)
    assert not before["scorer.mask_tokens"].equal(after["scorer.mask_tokens"])
    assert not before["encoder.trunk.blocks.9.project.conv.weight"].equal(
        after["encoder.trunk.blocks.9.project.conv.weight"]
    )


def test_a_run_can_start_from_weights_that_fit_in_part(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    given = new_model(7, pretrained=False).state_dict()
    given["judge.out.bias"] = torch.full((1,), 3.0)
    given["scorer.iou.2.bias"] = torch.zeros(5)  # of another shape
    path = tmp_path / "earlier.pt"
    torch.save(given, path)
    model = loop.Trainer.create(recipe, CPU, init=path).model
    assert model.judge.out.bias.item() == 3.0
    assert model.scorer.mask_tokens.equal(given["scorer.mask_tokens"])
    assert model.scorer.iou[2].bias.shape == (1,)


def test_a_slimmed_trunk_is_trained_on_at_its_size_and_resumed(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    slim = (*HIDDEN[:-1], 400)
    path, out = tmp_path / "slim.pt", tmp_path / "out"
    torch.save(new_model(0, pretrained=False, widths=Widths(trunk=slim)).state_dict(), path)
    split = tiny_split(tmp_path, recipe)
    assert loop.train(recipe, split, out, CPU, path)
    assert loop.train(recipe, split, out, CPU)  # nothing left to do, but it loads
    kept = read_weights(out / WEIGHTS)["encoder.trunk.blocks.15.depthwise.conv.weight"]
    assert len(kept) == 400


def test_in_the_decay_statistics_stand_and_larger_sides_come(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, steps=4)
    recipe = msgspec.structs.replace(
        recipe,
        batch=msgspec.structs.replace(recipe.batch, late_sides={"96": 1.0}),
        schedule=msgspec.structs.replace(recipe.schedule, warmup_steps=0, decay_steps=2),
    )
    trainer, batches = (
        loop.Trainer.create(recipe, CPU),
        Batches(recipe, tiny_split(tmp_path, recipe), 2),
    )
    norm = trainer.model.encoder.mix32[0].depthwise.norm
    means = []
    for step in range(4):
        assert batches[step].images.shape[1] == (64 if step < 2 else 96)
        trainer.step(batches[step], step)
        means.append(norm.running_mean.clone())
    assert not means[0].equal(means[1])
    assert means[1].equal(means[2])


def test_the_last_steps_compute_in_integers_and_keep_the_names(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, steps=3)
    schedule = msgspec.structs.replace(
        recipe.schedule, warmup_steps=0, decay_steps=2, integer_steps=2
    )
    recipe = msgspec.structs.replace(recipe, schedule=schedule)
    trainer = loop.Trainer.create(recipe, CPU)
    names, sample = list(trainer.model.state_dict()), batch(tmp_path, recipe)
    trainer.step(sample, 0)
    assert not trainer.rounded
    for step in (1, 2):
        assert math.isfinite(trainer.step(sample, step)["loss"])
    assert trainer.rounded
    assert list(trainer.model.state_dict()) == names
    grid = trainer.model.encoder.eval()(torch.zeros(1, 3, 64, 64)).grid16
    assert len(grid[..., 5].unique()) <= 256


@pytest.mark.parametrize("frozen", [0, 3])
def test_the_training_encoder_equals_the_models(frozen: int) -> None:
    model = new_model(0, pretrained=False).eval()
    x = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(encode(model, x, frozen), model.encoder(x), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    trainer = loop.Trainer.create(recipe, CPU)
    trainer.model.scorer.mask_tokens.data.fill_(float("nan"))
    before = _kernel(trainer).clone()
    with pytest.raises(FloatingPointError, match="step 3"):
        trainer.step(batch(tmp_path, recipe), 3)
    assert _kernel(trainer).equal(before)


def test_a_resumed_run_takes_the_same_next_step(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    batches = Batches(recipe, tiny_split(tmp_path, recipe), 2)
    one = loop.Trainer.create(recipe, CPU)
    for i in range(2):
        one.step(batches[i], i)
    path = tmp_path / CHECKPOINT
    save_checkpoint(path, one.parts, 2, "hash")
    other = loop.Trainer.create(msgspec.structs.replace(recipe, seed=recipe.seed), CPU)
    assert load_checkpoint(path, other.parts, "hash") == 2
    expected, got = (t.step(batches[2], 2) for t in (one, other))
    assert got == pytest.approx(expected, rel=1e-5)
    expected, got = (t.step(batches[3], 3) for t in (one, other))
    assert got == pytest.approx(expected, rel=1e-4)


def test_a_run_validates_draws_curves_and_exports(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    split, out = tiny_split(tmp_path, recipe), tmp_path / "out"
    assert loop.train(recipe, split, out, CPU)
    records = read_journal(out / loop.JOURNAL)
    assert [r["step"] for r in records if r["kind"] == "step"] == [1, 2, 3, 4]
    (first, last) = (r for r in records if r["kind"] == "validation")
    assert (first["step"], last["step"]) == (2, 4)
    for name in ("box", "point", "point_best", "clicks3", "iou_error", "calibration_error"):
        assert 0 <= last[name] <= 1
    assert last["point_best"] >= last["point"]
    assert ET.parse(out / loop.CURVES).getroot().tag.endswith("svg")
    weights = read_weights(out / WEIGHTS)
    model = new_model(0, pretrained=False)
    model.load_state_dict(weights)
    assert weights["scorer.mask_tokens"].dtype == torch.float32


def test_a_signal_saves_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path)
    split, out = tiny_split(tmp_path, recipe), tmp_path / "out"
    step = loop.Trainer.step

    def stop_after_two(self: loop.Trainer, sample: Sample, number: int) -> dict[str, float]:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, sample, number)

    monkeypatch.setattr(loop.Trainer, "step", stop_after_two)
    assert not loop.train(recipe, split, out, CPU)
    monkeypatch.setattr(loop.Trainer, "step", step)
    assert loop.train(recipe, split, out, CPU)
    steps = [r["step"] for r in read_journal(out / loop.JOURNAL) if r["kind"] == "step"]
    assert steps == [1, 2, 3, 4]
    assert not list(out.glob("*.tmp")) + list(out.glob(".*.tmp"))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(target: Path) -> None:
        target.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    trainer = loop.Trainer.create(tiny_recipe(tmp_path), CPU)
    path = tmp_path / CHECKPOINT
    torch.save({"format": 99}, path)
    with pytest.raises(CheckpointError, match="99"):
        load_checkpoint(path, trainer.parts, "hash")


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    rules = Schedule(total_steps=100, warmup_steps=10, decay_steps=20, floor=0.1)
    rates = [rate_at(i, rules) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:81] == [1.0] * 71
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_a_journal_line_cut_off_is_passed_over_and_curves_draw(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for i in range(3):
        journal.add("step", i, {"loss": 3.0 - i})
    with (tmp_path / "j.jsonl").open("a") as f:
        f.write('{"kind": "st')
    assert len(read_journal(tmp_path / "j.jsonl")) == 3
    draw_curves(tmp_path / "j.jsonl", tmp_path / "c.svg")
    assert "polyline" in (tmp_path / "c.svg").read_text()
    draw_curves(tmp_path / "none.jsonl", tmp_path / "c.svg")
    ET.parse(tmp_path / "c.svg")


def test_the_faster_number_of_threads_is_kept_and_tried_again() -> None:
    used: list[int] = []
    tuner = ThreadTuner(2, used.append)
    for _ in range(2 * PROBE_STEPS):
        tuner.observe(100, 5.0 if tuner.threads == 2 else 3.0)
    assert tuner.threads == 1
    for _ in range(KEEP_STEPS + 2 * PROBE_STEPS):
        tuner.observe(100, 2.0 if tuner.threads == 2 else 3.0)
    assert tuner.threads == 2
    assert used == [2, 1, 1, 2, 1, 2]
    single = ThreadTuner(1, used.append)
    for _ in range(200):
        single.observe(100, 1.0)
    assert single.threads == 1


def test_the_command_measures_weights(tmp_path: Path) -> None:
    tiny_split(tmp_path, tiny_recipe(tmp_path))
    weights = tmp_path / "w.pt"
    torch.save(new_model(0, pretrained=False).state_dict(), weights)
    config = tmp_path / "recipe.toml"
    config.write_text(as_toml(json.loads((tmp_path / "recipe.json").read_bytes())))
    common = ["--config", str(config), "--data", str(tmp_path), "--out", str(tmp_path / "o")]
    assert main([*common, "--validate", str(weights)]) == EXIT_DONE
    figures = json.loads((tmp_path / "o" / "validation-w.json").read_text())
    assert figures["objects"] > 0


def test_the_command_refuses_a_wrong_recipe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.toml").write_text("name = 3")
    assert main(["--config", str(tmp_path / "bad.toml"), "--out", str(tmp_path)]) == EXIT_USAGE
    assert "bad.toml" in caplog.text
