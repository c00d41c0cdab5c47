"""The teacher's answers, the folders that a round writes, and going on after a stop."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.lite0 import fold_norms
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo import label as label_module
from edgesam_engines.train.pseudo.cli import EXIT_USAGE, main
from edgesam_engines.train.pseudo.config import Sources, Views, load_rules, rules_hash
from edgesam_engines.train.pseudo.detector import Detection
from edgesam_engines.train.pseudo.label import keep_teacher, label_all
from edgesam_engines.train.pseudo.measure import measure, report
from edgesam_engines.train.pseudo.sheet import draw_sheet
from edgesam_engines.train.pseudo.teacher import Teacher, mean_logits, moved_boxes
from edgesam_engines.train.sources import decode, list_source
from tests.engines.pseudo_doubles import (
    KEEP_ALL,
    RULES,
    labeller,
    rules,
    write_unlabelled,
)
from tests.engines.train_doubles import write_photos

pytestmark = pytest.mark.torch
VIEWS = Views(side=64, jitters=2, jitter=0.05, stability_offset=1.0)
BOX = Detection((8.0, 4.0, 40.0, 28.0), 0.9, "cat")


def teacher() -> Teacher:
    torch.manual_seed(9)  # its masks are neither empty nor full
    model = PocketSAM()
    fold_norms(model.encoder.trunk)
    return Teacher(model, VIEWS)


def test_a_proposal_has_the_size_of_the_photo_and_scores_in_range() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
    one, two = teacher().propose(image, [BOX, BOX], 3)
    for made in (one, two):
        assert made.mask.shape == (40, 56)
        assert all(0 <= s <= 1 for s in (*made.scores, made.scores.trust))
    again = teacher().propose(image, [BOX, BOX], 3)[0]
    assert (again.mask == one.mask).all()
    assert again.scores == one.scores
    assert teacher().propose(image, [], 3) == []


def test_a_mirrored_photo_gets_the_mirrored_mask() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
    views = Views(side=64, jitters=1, jitter=0.0, stability_offset=1.0)
    model = teacher()._model
    x0, y0, x1, y1 = BOX.box_xyxy
    mirror = Detection((56 - x1, y0, 56 - x0, y1), 0.9, "cat")
    one = Teacher(model, views).propose(image, [BOX], 0)[0]
    other = Teacher(model, views).propose(np.ascontiguousarray(image[:, ::-1]), [mirror], 0)[0]
    assert 0.1 < one.mask.mean() < 0.9
    assert (one.mask == other.mask[:, ::-1]).mean() > 0.99
    assert one.scores.flip_iou == pytest.approx(other.scores.flip_iou, abs=0.02)
    assert one.scores.jitter_iou == 1


def test_the_first_box_is_exact_and_the_others_move_no_farther_than_allowed() -> None:
    boxes = moved_boxes([BOX], (40, 56), VIEWS, 1)
    assert boxes.shape == (1, 3, 2, 2)
    exact = np.array([[8, 4], [40, 28]]) / (56, 40)
    assert boxes[0, 0] == pytest.approx(exact)
    limit = 0.05 * (exact[1] - exact[0]) + 1e-6
    assert (np.abs(boxes[0, 1:] - exact) <= limit).all()
    assert (boxes[0, 1] != boxes[0, 0]).any()


def test_the_mean_of_answers_is_one_of_probabilities() -> None:
    logits = torch.tensor([[[[8.0]], [[-1.0]]], [[[-1.0]], [[-1.0]]]])
    assert mean_logits(logits).item() < 0


def test_a_file_that_is_no_teacher_is_named(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt.*ema\.safetensors"):
        Teacher.load(tmp_path / "other.pt", VIEWS)
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        Teacher.load(tmp_path / "none.safetensors", VIEWS)


def test_a_round_writes_folders_that_a_training_reads(tmp_path: Path) -> None:
    sources = write_unlabelled(tmp_path)
    made = label_all(labeller(rules(sources=sources, keep=KEEP_ALL))[0], tmp_path, tmp_path / "out")
    assert [m["masks"] for m in made] == [3]
    entries = list_source(tmp_path / "out", "plain", allow_doubtful=False)
    assert len(entries) == 3
    photo = decode(entries[0])
    assert [o.box for o in photo.objects] == [(0, 0, 40, 30)]
    meta = json.loads((tmp_path / "out/plain/meta.json").read_text())
    assert meta["license as stated"] == "MIT (repo LICENSE)"
    assert meta["exhaustive"] is False
    assert meta["made_by"]["teacher_sha256"] == "teacher"
    (one,) = meta["objects"]["0000"]
    assert (one["id"], one["class"], one["area"]) == (1, "dog", 1200)
    assert one["trust"] == pytest.approx(0.95)
    assert draw_sheet(tmp_path / "out/plain", 3, 2, 0).shape == (600, 600, 3)


def test_labelled_photos_keep_their_labels_and_terms(tmp_path: Path) -> None:
    write_photos(tmp_path, "shapes", 2)
    made = rules(sources=Sources(masks=("shapes",)), keep=KEEP_ALL)
    label_all(labeller(made)[0], tmp_path, tmp_path / "out")
    for stem in ("0000", "0001"):
        old = cv2.imread(str(tmp_path / f"masks/shapes/{stem}.png"), cv2.IMREAD_UNCHANGED)
        new = cv2.imread(str(tmp_path / f"out/shapes/{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert (new[old > 0] == old[old > 0]).all()
        assert set(np.unique(new)) == {0, 1, 2, 3}
    assert json.loads((tmp_path / "out/shapes/meta.json").read_text())["commercial_use"]


class Stopped(Exception):
    """Stands for a crash."""


def test_a_round_that_was_stopped_goes_on_with_the_next_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rules(sources=write_unlabelled(tmp_path, count=4), keep=KEEP_ALL)
    out, whole = tmp_path / "out", tmp_path / "whole"
    once, calls = label_module.label_photo, []

    def crash_at_third(*args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise Stopped
        once(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(label_module, "label_photo", crash_at_third)
    with pytest.raises(Stopped):
        label_all(labeller(given)[0], tmp_path, out)
    assert not (out / "plain/meta.json").exists()
    with (out / "plain/progress.jsonl").open("a") as f:
        f.write('{"photo": "0002", "se')  # and the crash came in the middle of a line
    monkeypatch.undo()
    again, detector = labeller(given)
    label_all(again, tmp_path, out)
    assert detector.asked == 2
    label_all(labeller(given)[0], tmp_path, whole)
    names = [p.name for p in sorted((whole / "plain").iterdir()) if p.suffix != ".jsonl"]
    assert names == [p.name for p in sorted((out / "plain").iterdir()) if p.suffix != ".jsonl"]
    for name in names:
        assert (whole / "plain" / name).read_bytes() == (out / "plain" / name).read_bytes()


def test_labels_of_two_teachers_do_not_mix(tmp_path: Path) -> None:
    given = rules(sources=write_unlabelled(tmp_path))
    label_all(labeller(given)[0], tmp_path, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"plain.*another --out"):
        label_all(labeller(given, teacher="young")[0], tmp_path, tmp_path / "out")


def test_a_round_stays_with_the_teacher_it_began_with(tmp_path: Path) -> None:
    weights = tmp_path / "ema.safetensors"
    weights.write_bytes(b"old")
    copy = keep_teacher(weights, tmp_path / "out")
    weights.write_bytes(b"new")
    assert keep_teacher(weights, tmp_path / "out") == copy
    assert copy.read_bytes() == b"old"
    with pytest.raises(CheckpointError, match="none"):
        keep_teacher(tmp_path / "none", tmp_path / "other")


@pytest.mark.parametrize("licence", ["X (Georgia Tech, research use)", "CC BY non-commercial"])
def test_photos_whose_terms_forbid_commercial_use_are_refused(tmp_path: Path, licence: str) -> None:
    given = rules(sources=write_unlabelled(tmp_path, licence=licence))
    with pytest.raises(RecipeError, match=r"plain.*leave it out"):
        label_all(labeller(given)[0], tmp_path, tmp_path / "out")


def test_photos_without_known_terms_are_refused(tmp_path: Path) -> None:
    write_unlabelled(tmp_path, "known")
    (tmp_path / "photos/other").mkdir()
    cv2.imwrite(str(tmp_path / "photos/other/0.webp"), np.zeros((8, 8, 3), np.uint8))
    given = rules(sources=Sources(photos=("other",)))
    with pytest.raises(RecipeError, match=r"other.*nothing"):
        label_all(labeller(given)[0], tmp_path, tmp_path / "out")


def test_the_committed_rules_name_no_source_with_research_terms() -> None:
    given = load_rules(RULES)
    assert "gtea" not in given.sources.photos
    assert not {"bsds500", "camvid", "cwfid", "labelmefacade"} & set(given.sources.masks)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("trust =", "thrust =", "thrust"),
        ('"cocoy"', '"../coco-val"', r"\$.sources.photos"),
        ("side = 512", "side = 500", "multiple of 32"),
        ("same = ", "same = 1", r"\$.merge.same"),
    ],
)
def test_wrong_rules_are_refused_with_file_and_key(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = RULES.read_text("utf-8")
    assert old in text
    path = tmp_path / "rules.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(RecipeError, match=words) as error:
        load_rules(path)
    assert "rules.toml" in str(error.value)


def test_the_hash_of_the_rules_tells_what_labels_depend_on() -> None:
    given = rules()
    assert rules_hash(given) == rules_hash(rules(name="other", sources=Sources()))
    assert rules_hash(given) != rules_hash(rules(keep=KEEP_ALL))


def test_proposals_are_measured_against_the_true_masks(tmp_path: Path) -> None:
    write_photos(tmp_path, "shapes", 2)
    entries = list_source(tmp_path / "masks", "shapes", allow_doubtful=False)
    rows, found = measure(labeller(rules())[0], entries)
    assert len(rows) == 2
    assert len(found) == 4
    for row in rows:
        true = decode(entries[0]).ids[:48, :64]
        assert 0 < row.reached < (true > 0).mean() + 0.4
        assert row.scores.trust == pytest.approx(0.95)
    figures = report(rows, found, KEEP_ALL)
    assert figures["detector"]["true_objects"] == 4  # type: ignore[index]
    assert json.dumps(figures)


def test_the_command_refuses_missing_rules(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = ["--rules", str(tmp_path / "none.toml"), "--teacher", "x", "--out", str(tmp_path)]
    with caplog.at_level(logging.ERROR):
        assert main(["label", *given]) == EXIT_USAGE
    assert "none.toml" in caplog.text
