"""What each ingredient is worth: short runs that differ in one thing, on the same photos.

    python -m edgesam_engines.train.ablate --config RECIPE --variants FILE --init FILE --out FOLDER

All runs start from the same weights, see the same batches where the variant allows it, fall to a
low learning rate at their end, and are measured on the same objects of the validation part. So the
differences are paired, and their standard errors small enough for short runs. A run that is done is
not done again: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from edgesam_engines.train.cli import pick_device, prepare
from edgesam_engines.train.config import Recipe, RecipeError, load_recipe, read_strictly
from edgesam_engines.train.loop import Trainer
from edgesam_engines.train.memory import keep_memory
from edgesam_engines.train.samples import Batches, batch_loader
from edgesam_engines.train.sources import Split, split_sources
from edgesam_engines.train.validate import Tally, examine

BASE = "base"
SHOWN = ("box", "point", "point_scored", "point_best", "clicks3", "iou_error")
log = logging.getLogger(__name__)


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: `change` maps keys of the recipe, sections joined by a dot, to other values."""

    note: str
    change: dict[str, Any] = {}


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of variants; `steps` of each run, the last `decay_steps` with a falling rate."""

    steps: int
    warmup_steps: int
    decay_steps: int
    photos: int
    variants: dict[str, Variant]


def load_plan(path: Path) -> Plan:
    """Read the file of variants.

    Raises:
        RecipeError: it cannot be read, or a key in it is wrong.
    """
    plan = read_strictly(path, Plan)
    if BASE not in plan.variants:
        raise RecipeError(f"{path}: variants: one must be called {BASE!r}, the others are compared")
    return plan


def changed(recipe: Recipe, plan: Plan, variant: Variant) -> Recipe:
    """The recipe of one run.

    Raises:
        RecipeError: a key that the recipe does not have, or a value that it cannot take.
    """
    data = msgspec.to_builtins(recipe)
    ends = ("total_steps", plan.steps), ("warmup_steps", plan.warmup_steps)
    for key, value in (*ends, ("decay_steps", plan.decay_steps), ("integer_steps", 0)):
        data["schedule"][key] = value
    data["validation"]["max_photos"] = plan.photos
    for path, value in variant.change.items():
        *sections, key = path.split(".")
        place = data
        for section in sections:
            place = place.get(section, {})
        if key not in place:
            raise RecipeError(f"variants: the recipe has no {path!r}")
        place[key] = value
    try:
        return msgspec.convert(data, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"variants: {variant.change}: {error}") from error


def run_variant(recipe: Recipe, split: Split, init: Path, device: torch.device) -> Tally:
    """Train from `init` and measure the raw weights: a short run outruns no average."""
    trainer = Trainer.create(recipe, device, init=init)
    photos = recipe.batch.photos_cuda if device.type == "cuda" else recipe.batch.photos_cpu
    for step, sample in enumerate(batch_loader(Batches(recipe, split, photos), recipe, 0)):
        stats = trainer.step(sample, step)
        if (step + 1) % recipe.saving.log_every_steps == 0:
            log.info("step %d loss %.3f", step + 1, stats["loss"])
    return examine(trainer.model.eval(), split, recipe, device)


def compare(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> list[dict[str, Any]]:
    """Per run: mean of every figure in points, and its paired difference to the base with error."""
    table = []
    for name, figures in rows.items():
        row: dict[str, Any] = {"variant": name}
        for key in SHOWN:
            values, base = (100 * np.array(rows[n][key]) for n in (name, BASE))
            gap = values - base
            row[key] = round(float(values.mean()), 2)
            row[f"{key}_gain"] = round(float(gap.mean()), 2)
            row[f"{key}_error"] = round(float(gap.std() / np.sqrt(len(gap))), 2)
        row["objects"] = len(figures[SHOWN[0]])
        table.append(row)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_engines.train.ablate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--config", type=Path, required=True, help="the recipe they all start from")
    parser.add_argument("--variants", type=Path, required=True, help="what is changed, TOML")
    parser.add_argument("--init", type=Path, required=True, help="weights all runs start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--only", action="append", metavar="NAME", help="run these; repeatable")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command: 0 when all runs are done, 2 for a wrong recipe or file of variants."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        recipe, plan = load_recipe(args.config), load_plan(args.variants)
        recipes = {n: changed(recipe, plan, v) for n, v in plan.variants.items()}
        device = pick_device(recipe.hardware.device)
        prepare(recipe, device)
        args.out.mkdir(parents=True, exist_ok=True)
        rows = {}
        for name, own in recipes.items():
            file = args.out / f"{name}.json"
            if not file.exists() and (not args.only or name in args.only):
                log.info("variant %s: %s", name, plan.variants[name].note)
                tally = run_variant(own, split_sources(args.data, own.data), args.init, device)
                file.write_text(json.dumps(tally.rows), "utf-8")
            if file.exists():
                rows[name] = json.loads(file.read_text("utf-8"))
    except RecipeError as error:
        log.error("%s", error)
        return 2
    report = {
        "steps": plan.steps,
        "init": args.init.name,
        "notes": {n: v.note for n, v in plan.variants.items() if n in rows},
        "rows": compare(rows) if BASE in rows else [],
    }
    (args.out / "ablation.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    log.info("written to %s", args.out / "ablation.json")
    return 0


if __name__ == "__main__":
    keep_memory()
    sys.exit(main(sys.argv[1:]))
