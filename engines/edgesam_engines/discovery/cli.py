"""Command line of the discovery head."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch

from edgesam_engines.discovery import config, features
from edgesam_engines.discovery.attach import attach
from edgesam_engines.discovery.compare import compare
from edgesam_engines.discovery.loop import train
from edgesam_engines.discovery.photos import Photo, choose
from edgesam_engines.train.config import RecipeError
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import EdgeSamError

EXIT_DONE, EXIT_USAGE = 0, 2
log = logging.getLogger(__name__)
Verb = Callable[[argparse.Namespace], None]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_engines.discovery",
        description="Train a discovery head on a bundle's features; compare it with a detector.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Verb, text: str) -> None:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        added.add_argument("--config", type=Path, default=config.DEFAULT, help="recipe, TOML")
        added.add_argument("--data", type=Path, default=Path("../shared/data"))
        added.add_argument("--bundle", default=bundles.DEFAULT, help="PocketSAM, name or folder")
        added.add_argument("--detector", default=bundles.DEFAULT_DETECTOR, help="name or folder")
        added.add_argument("--work", type=Path, required=True, help="features, run, bundle")
        added.add_argument("--checkpoint", type=Path, help="the head; default: in --work")
        added.add_argument("--out", type=Path, help="the comparison, JSON; default: stdout")
        added.add_argument("--workers", type=int, default=1, help="processes that encode photos")
        added.add_argument("--threads", type=int, default=1, help="of torch")

    verb("features", _features, "Encode all photos; resumes.")
    verb("train", _train, "Train the head on features, and write it; resumes.")
    verb("compare", _compare, "Box recall and time of the head and the detector, as JSON.")
    verb("all", _all, "All three, one after another.")
    return parser


def _recipe(args: argparse.Namespace) -> tuple[config.DiscoveryRecipe, list[Photo]]:
    recipe, photos_recipe = config.load(args.config)
    return recipe, choose(args.data, recipe, photos_recipe.data)


def _features(args: argparse.Namespace) -> None:
    recipe, photos = _recipe(args)
    bundle, detector = bundles.find(args.bundle), bundles.find_detector(args.detector)
    job = features.Job(bundle.folder, detector.folder, args.work / "features", recipe)
    features.make(job, photos, args.workers)


def _train(args: argparse.Namespace) -> None:
    recipe, _ = config.load(args.config)
    train(recipe, args.work / "features", args.work / "run", _checkpoint(args))


def _compare(args: argparse.Namespace) -> None:
    recipe, photos = _recipe(args)
    made = args.work / "bundle"
    attach(bundles.find(args.bundle).folder, _checkpoint(args), recipe.facts, made)
    detector = bundles.find_detector(args.detector).folder
    text = json.dumps(compare(made, detector, recipe, photos), indent=1) + "\n"
    if args.out is None:
        sys.stdout.write(text)
    else:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, "utf-8")


def _all(args: argparse.Namespace) -> None:
    for step in (_features, _train, _compare):
        step(args)


def _checkpoint(args: argparse.Namespace) -> Path:
    given: Path | None = args.checkpoint
    return given or args.work / "head.safetensors"


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is done, 2 for wrong recipes, weights, bundles or folders.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(args.threads)
    try:
        args.run(args)
    except (RecipeError, EdgeSamError) as error:
        log.error("%s", error)
        return EXIT_USAGE
    return EXIT_DONE
