"""The recipe: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch")

from edgesam_engines.train.config import RecipeError, load_recipe, recipe_hash
from edgesam_engines.train.sources import split_sources
from tests.engines.train_doubles import COMMITTED, tiny_recipe, write_photos

pytestmark = pytest.mark.torch


def test_the_committed_recipe_reads() -> None:
    assert load_recipe(COMMITTED).name == "pocketsam-clean"


def test_the_committed_recipe_takes_no_source_with_research_terms() -> None:
    data = load_recipe(COMMITTED).data
    assert not data.allow_doubtful_terms
    assert not {"bsds500", "camvid", "cwfid", "labelmefacade"} & data.sources.keys()
    assert "gtea" not in data.backdrops


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = COMMITTED.read_text("utf-8")
    assert old in text
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("prompts = 12", "prompts = 12\nprompt = 3", "unknown field `prompt`"),
        ("seed = 0", 'seed = "a"', r"\$.seed"),
        ("rounds = 3", "rounds = 9", r"\$.prompts.rounds"),
        ("{ 256 = 0.1,", "{ 250 = 0.1,", "250"),
        ("warmup_steps = 100", "warmup_steps = 300000", "longer than the training"),
        ("[loss]", "[lozz]", "unknown field `lozz`|missing required field `loss`"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_key(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as error:
        load_recipe(changed(tmp_path, old, new))
    assert "recipe.toml" in str(error.value)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml"):
        load_recipe(tmp_path / "none.toml")


def test_the_hash_changes_with_a_number_and_only_then(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    assert recipe_hash(recipe) == recipe_hash(tiny_recipe(tmp_path))
    assert recipe_hash(recipe) != recipe_hash(msgspec.structs.replace(recipe, seed=1))


def test_a_source_that_forbids_commercial_use_is_refused(tmp_path: Path) -> None:
    write_photos(tmp_path, commercial_use="forbidden or doubtful")
    recipe = tiny_recipe(tmp_path)
    data = msgspec.structs.replace(recipe.data, backdrops={})
    with pytest.raises(RecipeError, match=r"shapes.*commercial"):
        split_sources(tmp_path, data)
    allowed = msgspec.structs.replace(data, allow_doubtful_terms=True)
    assert split_sources(tmp_path, allowed).train["shapes"]


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="shapes"):
        split_sources(tmp_path, tiny_recipe(tmp_path).data)
