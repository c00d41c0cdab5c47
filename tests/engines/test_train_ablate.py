"""Short runs that differ in one thing: how they are set up and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgesam_engines.train.ablate import BASE, SHOWN, Plan, Variant, changed, compare, load_plan
from edgesam_engines.train.config import RecipeError, load_recipe
from tests.engines.train_doubles import COMMITTED

pytestmark = pytest.mark.torch
VARIANTS = COMMITTED.with_name("ablation.toml")


def test_every_committed_variant_fits_the_committed_recipe() -> None:
    recipe, plan = load_recipe(COMMITTED), load_plan(VARIANTS)
    for name, variant in plan.variants.items():
        own = changed(recipe, plan, variant)
        assert own.schedule.total_steps == plan.steps
        assert (own.data, own.prompts, own.loss, own.canvas, own.paste, own.batch) != (
            recipe.data,
            recipe.prompts,
            recipe.loss,
            recipe.canvas,
            recipe.paste,
            recipe.batch,
        ) or name == BASE


@pytest.mark.parametrize(
    ("change", "words"),
    [({"loss.rang": 0.0}, "no 'loss.rang'"), ({"prompts.rounds": 9}, "rounds")],
)
def test_a_change_that_the_recipe_cannot_take_is_refused(
    change: dict[str, object], words: str
) -> None:
    plan = Plan(10, 1, 5, 2, {BASE: Variant("as it is")})
    with pytest.raises(RecipeError, match=words):
        changed(load_recipe(COMMITTED), plan, Variant("wrong", change))


def test_a_plan_without_a_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(VARIANTS.read_text("utf-8").replace("variants.base", "variants.other"), "utf-8")
    with pytest.raises(RecipeError, match="must be called 'base'"):
        load_plan(path)


def test_differences_are_paired() -> None:
    base = {key: [0.1, 0.5, 0.9] for key in SHOWN}
    better = {key: [0.2, 0.6, 1.0] for key in SHOWN}
    first, second = compare({BASE: base, "better": better})
    assert (first["box_gain"], first["box_error"]) == (0, 0)
    assert second["box"] == 60
    assert second["box_gain"] == pytest.approx(10)
    assert second["box_error"] == pytest.approx(0, abs=0.01)
    assert second["objects"] == 3
