"""Command line of the training."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.train.config import Recipe, RecipeError, load_recipe
from edgesam_engines.train.loop import train
from edgesam_engines.train.network import model_of
from edgesam_engines.train.sources import split_sources
from edgesam_engines.train.validate import validate

EXIT_DONE, EXIT_USAGE, EXIT_STOPPED = 0, 2, 3
log = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_engines.train",
        description="Train PocketSAM; the same command goes on where the last run stopped.",
    )
    parser.add_argument("--config", type=Path, required=True, help="recipe, a TOML file")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and curves")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with masks/ and photos/"
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="WEIGHTS",
        help="start a new run from these weights (.pt, .safetensors), as far as they fit",
    )
    parser.add_argument(
        "--validate",
        type=Path,
        metavar="WEIGHTS",
        help="only measure these weights (.pt, .safetensors)",
    )
    return parser


def pick_device(wanted: str) -> torch.device:
    """The recipe's device; `auto` takes a GPU if there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def prepare(recipe: Recipe, device: torch.device) -> None:
    """Settings of the process, before the first tensor is made."""
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    if device.type == "cpu":
        torch.set_num_threads(recipe.hardware.threads)


def _validate_only(recipe: Recipe, args: argparse.Namespace, device: torch.device) -> None:
    model = model_of(read_weights(args.validate)).to(device)
    figures = validate(model, split_sources(args.data, recipe.data), recipe, device)
    args.out.mkdir(parents=True, exist_ok=True)
    report = args.out / f"validation-{args.validate.stem}.json"
    report.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    log.info("written to %s", report)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the training (or validation) is complete, 2 for a wrong recipe or checkpoint, 3 when
        a signal stopped it and the same command would go on.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        recipe = load_recipe(args.config)
        device = pick_device(recipe.hardware.device)
        prepare(recipe, device)
        if args.validate is not None:
            _validate_only(recipe, args, device)
            return EXIT_DONE
        done = train(recipe, split_sources(args.data, recipe.data), args.out, device, args.init)
    except (RecipeError, CheckpointError) as error:
        log.error("%s", error)
        return EXIT_USAGE
    return EXIT_DONE if done else EXIT_STOPPED
