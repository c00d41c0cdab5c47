"""What the training makes of extra labels and of hard objects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.train.config import Data, RecipeError, Source
from edgesam_engines.train.loop import Trainer
from edgesam_engines.train.losses import hard_weight
from edgesam_engines.train.samples import Batches
from edgesam_engines.train.sources import split_sources
from tests.engines.train_doubles import tiny_recipe, tiny_split, write_photos

pytestmark = pytest.mark.torch


def with_roots(data: Data, *roots: Path, **more: object) -> Data:
    return msgspec.structs.replace(data, extra_roots=tuple(map(str, roots)), **more)


def extra_labels(root: Path, name: str, stems: list[str], data: Path) -> None:
    """Labels of some photos, of the form that `pseudo label` writes."""
    (root / name).mkdir(parents=True)
    for stem in stems:
        shutil.copy(data / f"masks/shapes/{stem}.webp", root / name / f"{stem}.webp")
        cv2.imwrite(str(root / name / f"{stem}.png"), np.full((96, 128), 9, np.uint8))
    (root / name / "meta.json").write_text(json.dumps({"commercial_use": "see licence"}))


def test_labels_in_an_extra_root_take_the_place_of_the_photos_own_but_not_in_validation(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(tmp_path)
    before = tiny_split(tmp_path, recipe)
    extra_labels(tmp_path / "r", "shapes", [f"{i:04}" for i in range(6)], tmp_path)
    after = split_sources(tmp_path, with_roots(recipe.data, tmp_path / "r"))
    assert after.validation == before.validation
    names = [[e.photo.name for e in s.train["shapes"]] for s in (before, after)]
    assert names[0] == names[1]
    assert all(e.ids and e.ids.is_relative_to(tmp_path / "r") for e in after.train["shapes"])


def test_photos_that_an_extra_root_lacks_keep_their_own_labels(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    before = tiny_split(tmp_path, recipe).train["shapes"]
    extra_labels(tmp_path / "r", "shapes", [before[0].photo.stem], tmp_path)
    after = split_sources(tmp_path, with_roots(recipe.data, tmp_path / "r")).train["shapes"]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_a_source_that_only_extra_roots_have_is_all_for_training_and_the_last_root_wins(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(tmp_path)
    tiny_split(tmp_path, recipe)
    extra_labels(tmp_path / "one", "found", ["0000", "0001"], tmp_path)
    extra_labels(tmp_path / "two", "found", ["0001", "0002"], tmp_path)
    sources = {**recipe.data.sources, "found": Source(weight=1.0)}
    data = with_roots(recipe.data, tmp_path / "one", tmp_path / "two", sources=sources)
    split = split_sources(tmp_path, data)
    assert split.validation["found"] == []
    roots = [e.photo.relative_to(tmp_path).parts[0] for e in split.train["found"]]
    assert roots == ["one", "two", "two"]
    assert Batches(msgspec.structs.replace(recipe, data=data), split, 2)[0].images.shape[0] == 2


def test_extra_roots_that_a_recipe_does_not_use_change_no_sample(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    split = tiny_split(tmp_path, recipe)
    extra_labels(tmp_path / "r", "other", ["0000"], tmp_path)
    data = with_roots(recipe.data, tmp_path / "r")
    again = split_sources(tmp_path, data)
    assert again == split
    changed = msgspec.structs.replace(recipe, data=data)
    one, other = Batches(recipe, split, 2)[3], Batches(changed, again, 2)[3]
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.targets, other.targets)


def test_an_extra_root_that_is_missing_or_of_refused_terms_is_named(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    write_photos(tmp_path)
    with pytest.raises(RecipeError, match=r"none.*train\.pseudo"):
        split_sources(tmp_path, with_roots(recipe.data, tmp_path / "none"))
    extra_labels(tmp_path / "r", "shapes", ["0000"], tmp_path)
    (tmp_path / "r/shapes/meta.json").write_text('{"commercial_use": "forbidden"}')
    with pytest.raises(RecipeError, match="forbid"):
        split_sources(tmp_path, with_roots(recipe.data, tmp_path / "r"))


def test_objects_that_the_best_answer_misses_weigh_more() -> None:
    achieved = torch.tensor([[[1.0, 0.2], [0.5, 0.1], [0.0, 0.0]]])
    weight = hard_weight(achieved, 1.0)[0, :, 0]
    assert weight[0] == 1
    assert weight[1] == pytest.approx(2 * torch.sigmoid(torch.tensor(1.0)).item())
    assert weight[2] == 2
    assert (hard_weight(achieved, 0.0) == 1).all()


def test_the_weight_of_hard_objects_changes_the_loss_only_when_it_is_set(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    sample = Batches(recipe, tiny_split(tmp_path, recipe), 2)[0]
    losses = []
    for hard in (0.0, 1.0):
        loss = msgspec.structs.replace(recipe.loss, hard=hard)
        changed = msgspec.structs.replace(recipe, loss=loss)
        trainer = Trainer.create(changed, torch.device("cpu"), pretrained=False)
        losses.append(trainer.step(sample, 0)["loss"])
    assert recipe.loss.hard == 0
    assert losses[1] > losses[0]
