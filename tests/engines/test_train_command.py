"""`edgesam-engines train`, from a folder of photos to the command that builds a bundle."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file

from edgesam_engines import cli
from edgesam_engines.checkpoints import read_weights
from edgesam_engines.train import loop
from edgesam_engines.train.blend import BLENDED, Point, chosen
from edgesam_engines.train.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    Parts,
    export_weights,
    save_checkpoint,
)
from edgesam_engines.train.config import Blend, load_recipe
from edgesam_engines.train.job import DISTIL, FINETUNE, JOB, RECIPES, with_steps
from edgesam_engines.train.journal import Journal, read_journal
from edgesam_engines.train.network import Ema, new_model
from edgesam_engines.train.progress import Ticker, duration
from edgesam_engines.train.samples import Sample
from edgesam_engines.train.tune import closing
from tests.engines.train_doubles import POCKETSAM, ROOT, as_toml, draw_shapes, tiny_recipe

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of a disc and a square, with id maps."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        image, ids = draw_shapes(rng, i)
        cv2.imwrite(str(folder / f"{i}.jpg"), image)
        cv2.imwrite(str(folder / f"{i}.png"), ids)
    return folder


def tiny(tmp_path: Path, name: str = FINETUNE, *, steps: int = 2) -> Path:
    """A recipe that ships, on 64-pixel crops."""
    small = msgspec.to_builtins(tiny_recipe(tmp_path, steps=steps))
    data = msgspec.to_builtins(load_recipe(RECIPES / f"{name}.toml"))
    for section in ("hardware", "batch", "schedule", "paste"):
        data[section] = small[section]
    data["validation"] |= {"side": 64, "every_steps": 1000, "max_objects": 2}
    data["saving"]["log_every_steps"] = 1
    if data["distil"] is not None:
        data["distil"] |= {"min_predicted_iou": 0.1, "min_stability": 0.1, "points_per_side": 4}
    path = tmp_path / f"{name}.toml"
    path.write_text(as_toml(data), "utf-8")
    return path


def train(*words: object) -> int:
    return cli.main(["train", *map(str, words)])


def test_photos_with_masks_become_weights_and_the_command_that_builds_them(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my run"
    assert train("--data", photos, "--recipe", tiny(tmp_path), "--out", out) == 0
    told = capsys.readouterr().err
    for words in (
        "photos to learn from, with",
        "step 2 of 2, loss ",
        "0 s left",
        "before: mIoU box ",
        "after:  mIoU box ",
    ):
        assert words in told
    command = shlex.split(told.splitlines()[-1])
    assert command[:3] == ["edgesam-engines", "build", "pocketsam-int8"]
    assert command[command.index("--checkpoint") + 1] == str(out / BLENDED)
    assert len(list(Path(command[command.index("--calibration") + 1]).glob("*.jpg"))) >= 1
    assert [
        r["step"] for r in read_journal(out / "journal.jsonl") if r["kind"] == "validation"
    ] == [
        0,
        2,
    ]


def test_all_that_was_learnt_is_taken_if_one_says_so(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ("--data", photos, "--recipe", tiny(tmp_path), "--out", out)
    assert train(*words, "--blend", 1) == 0
    assert str(out / WEIGHTS) in capsys.readouterr().err.splitlines()[-1]
    assert not (out / BLENDED).exists()
    assert train("--resume", "--blend", 0.25, "--out", out) == 0
    told = capsys.readouterr().err
    assert "with 0.25 of what was learnt" in told
    assert str(out / BLENDED) in told.splitlines()[-1]
    start, learnt, taken = (read_weights(p) for p in (POCKETSAM, out / WEIGHTS, out / BLENDED))
    for name, value in taken.items():
        if value.is_floating_point():
            torch.testing.assert_close(
                value, torch.lerp(start[name], learnt[name], 0.25), atol=2e-3, rtol=2e-3
            )


@pytest.mark.slow
def test_the_printed_command_builds_a_bundle(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train("--data", photos, "--recipe", tiny(tmp_path), "--out", out) == 0
    command = shlex.split(capsys.readouterr().err.splitlines()[-1])
    shipped = (ROOT / "engines/edgesam_engines/recipes/pocketsam-int8.toml").read_text("utf-8")
    changes = {"[512, 384]": "[128]", "mean_iou = 0.85": "mean_iou = 0.3"}
    for old, new in changes.items():
        assert old in shipped
        shipped = shipped.replace(old, new)
    small = tmp_path / "small.toml"
    small.write_text(shipped.partition("[discovery]")[0], "utf-8")
    assert cli.main([command[1], str(small), *command[3:]]) == 0
    manifest = json.loads((out / "bundle/manifest.json").read_text("utf-8"))
    assert manifest["verification"]["side_128"]["mean_iou"] > 0.3


def test_a_teacher_alone_teaches_and_is_judged_by(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in photos.glob("*.png"):
        path.unlink()
    out = tmp_path / "out"
    words = ("--data", photos, "--teacher", f"pocketsam:{POCKETSAM}", "--out", out)
    assert train(*words, "--recipe", tiny(tmp_path, DISTIL)) == 0
    told = capsys.readouterr().err
    assert "asking pocketsam about 6 photos" in told
    assert "compare with the teacher's own masks" in told
    steps = [r for r in read_journal(out / "journal.jsonl") if r["kind"] == "step"]
    assert all({"embedding", "tokens"} <= r.keys() for r in steps)


def test_ctrl_c_saves_says_how_to_go_on_and_the_run_does(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, step = tmp_path / "out", loop.Trainer.step

    def interrupted(self: loop.Trainer, sample: Sample, number: int) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, sample, number)

    monkeypatch.setattr(loop.Trainer, "step", interrupted)
    assert train("--data", photos, "--recipe", tiny(tmp_path, steps=3), "--out", out) == 130
    told = capsys.readouterr().err
    assert "stopped after step 1" in told
    assert f"edgesam-engines train --resume --out {out}" in told
    assert (out / WEIGHTS).is_file()
    monkeypatch.setattr(loop.Trainer, "step", step)
    assert train("--data", photos, "--out", out) == 2
    assert "holds a training already" in capsys.readouterr().err
    assert train("--resume", "--data", photos, "--out", out) == 2
    assert "--data cannot be changed" in capsys.readouterr().err
    assert train("--resume", "--out", out) == 0
    steps = [r["step"] for r in read_journal(out / "journal.jsonl") if r["kind"] == "step"]
    assert steps == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path, photos: Path) -> None:
    recipe, out = tiny(tmp_path, steps=400), tmp_path / "out"
    text = recipe.read_text("utf-8")
    assert "every_minutes = 1.0" in text
    recipe.write_text(text.replace("every_minutes = 1.0", "every_minutes = 0.01"), "utf-8")
    command = [sys.executable, "-m", "edgesam_engines.cli", "train", "--out", str(out)]
    more = ["--data", str(photos), "--recipe", str(recipe)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "engines")))}
    with subprocess.Popen([*command, *more], env=env) as process:
        deadline = time.monotonic() + 300
        while not (out / CHECKPOINT).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    done = torch.load(out / CHECKPOINT, weights_only=True)["step"]
    assert done >= 1
    assert train("--resume", "--steps", done + 2, "--out", out) == 0
    assert torch.load(out / CHECKPOINT, weights_only=True)["step"] == done + 2
    starts = [r["step"] for r in read_journal(out / "journal.jsonl") if r["kind"] == "start"]
    assert starts[0] == 0
    assert starts[1] == done


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name your photos with --data"),
        (("--resume",), "no training to resume"),
        (("--data", "nowhere"), "--data .*nowhere: no such file or folder"),
        (("--data", "{photos}", "--init", "nowhere.pt"), "nowhere.pt: no such file"),
        (("--data", "{photos}", "--init", "{other}"), "not PocketSAM's weights"),
        (("--data", "{photos}", "--teacher", "sam.pt"), "expected FAMILY:CHECKPOINT"),
        (("--data", "{photos}", "--teacher", "mobilesam:{other}"), "not mobilesam"),
        (("--data", "{photos}", "--recipe", "finetun"), "Did you mean 'finetune'"),
        (("--data", "{photos}", "--images", "nowhere"), "nowhere: no such folder"),
        (("--data", "{other}"), "expected a folder of photos and masks, or COCO"),
    ],
)
def test_what_cannot_be_used_is_told_with_exit_code_2(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, other)
    given = [w.format(photos=photos, other=other) for w in words]
    assert train(*given, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert told.split(".*")[-1] in err
    assert not (tmp_path / "out" / CHECKPOINT).exists()


def test_a_run_among_its_own_data_is_refused(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--data", photos, "--out", photos / "run") == 2
    assert "Name a folder beside it" in capsys.readouterr().err
    assert not (photos / "run").exists()


def test_a_run_whose_data_was_bad_is_begun_again_when_it_is_mended(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    assert train("--data", empty, "--out", out) == 2
    assert "no photos" in capsys.readouterr().err
    assert (out / JOB).exists()
    assert train("--data", photos, "--recipe", tiny(tmp_path, steps=1), "--out", out) == 0


def test_a_damaged_checkpoint_and_objects_too_small_are_told(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for path in photos.glob("*.png"):
        ids = np.zeros((96, 128), np.uint8)
        ids[4:9, 4:9] = 1
        cv2.imwrite(str(path), ids)
    assert train("--data", photos, "--recipe", tiny(tmp_path), "--out", out) == 2
    assert "the objects are too small" in capsys.readouterr().err
    (out / CHECKPOINT).write_bytes(b"torn")
    for path in photos.glob("*.png"):
        cv2.imwrite(str(path), draw_shapes(np.random.default_rng(1), 0)[1])
    assert train("--resume", "--out", out) == 2
    assert "checkpoint.pt: not a" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes")
def test_a_disk_without_room_leaves_the_old_files(tmp_path: Path) -> None:
    import resource

    model = new_model(0, pretrained=False)
    parts = Parts(model, Ema(model, 0.9), torch.optim.AdamW(model.parameters()))
    path, weights = tmp_path / CHECKPOINT, tmp_path / WEIGHTS
    for each in (path, weights):
        each.write_text("old")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, old[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save_checkpoint(path, parts, 1, "hash")
        with pytest.raises(OSError, match="too large"):
            export_weights(weights, model, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert {p.read_text() for p in tmp_path.iterdir()} == {"old"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_in_the_middle_is_told_with_the_way_on(
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "out" / CHECKPOINT))

    monkeypatch.setattr(loop.files, "save_checkpoint", full)
    assert train("--data", photos, "--recipe", tiny(tmp_path), "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "Free some space" in told


def test_weights_that_became_worse_are_not_praised(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step, box in ((0, 0.6), (9, 0.5)):
        journal.add("validation", step, {"box": box, "point": 0.4, "clicks3": 0.5, "objects": 7})
    lines = closing(tmp_path)
    assert lines[:2] == [
        "before: mIoU box 60.0, point 40.0, 3 clicks 50.0 over 7 objects",
        "after:  mIoU box 50.0, point 40.0, 3 clicks 50.0 over 7 objects",
    ]
    assert "became worse" in lines[2]


def on_the_line(*scores: float) -> list[Point]:
    return [
        Point(i / (len(scores) - 1), {"box": s, "point": s, "clicks3": s})
        for i, s in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("scores", "keep", "share"),
    [
        ((0.4, 0.5, 0.55, 0.59, 0.6), 0.7, 0.5),  # the nearest to the start that keeps enough
        ((0.4, 0.5, 0.55, 0.59, 0.6), 1.0, 1.0),
        ((0.4, 0.5, 0.62, 0.59, 0.5), 0.9, 0.5),  # the best may lie between the ends
        ((0.6, 0.58, 0.5, 0.4, 0.3), 0.65, 0.25),  # nothing gained: the least harm
    ],
)
def test_the_nearest_point_that_keeps_enough_of_the_gain_is_taken(
    scores: tuple[float, ...], keep: float, share: float
) -> None:
    start, *points = on_the_line(*scores)
    assert chosen(start, points[::-1], Blend((1.0,), keep)).share == share


def test_other_numbers_of_steps_keep_the_shape_of_the_schedule() -> None:
    recipe = load_recipe(RECIPES / f"{FINETUNE}.toml")
    long = with_steps(recipe, recipe.schedule.total_steps * 3).schedule
    assert long.decay_steps == 3 * recipe.schedule.decay_steps
    short = with_steps(recipe, 1).schedule
    assert short.warmup_steps + short.decay_steps <= 1


def test_progress_is_told_now_and_then_with_the_time_left() -> None:
    now, said = [0.0], []
    ticker = Ticker(said.append, "step", 100, done=20, clock=lambda: now[0])
    for done in range(21, 101):
        now[0] += 2
        ticker.at(done, "loss 1")
    assert said[0] == "step 23 of 100, loss 1, 3 min left"
    assert said[-1] == "step 100 of 100, loss 1, 0 s left"
    assert len(said) < 30
    assert (duration(40), duration(3600), duration(12000)) == ("40 s", "60 min", "3 h 20 min")
