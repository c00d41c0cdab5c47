"""Command line of the self-training."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from edgesam_engines.errors import CheckpointError
from edgesam_engines.train.config import RecipeError, load_recipe
from edgesam_engines.train.pseudo.config import load_rules
from edgesam_engines.train.pseudo.label import Labeller, keep_teacher, label_all
from edgesam_engines.train.pseudo.measure import measure, report
from edgesam_engines.train.pseudo.sheet import draw_sheet
from edgesam_engines.train.sources import split_sources

EXIT_DONE, EXIT_USAGE = 0, 2
log = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgesam_engines.train.pseudo",
        description="Label photos by an earlier PocketSAM.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    label = verbs.add_parser("label", help="label the sources of the rules; resumes")
    label.add_argument("--out", type=Path, required=True, help="folder of this round")
    label.set_defaults(run=_label)
    check = verbs.add_parser("measure", help="compare with true masks of labelled photos")
    check.add_argument("--config", type=Path, required=True, help="recipe that divides the photos")
    check.add_argument("--sources", nargs="+", metavar="SOURCE", help="only these; else all")
    check.add_argument("--part", choices=("validation", "train"), default="validation")
    check.add_argument("--max-photos", type=int, default=40, help="per source")
    check.add_argument("--out", type=Path, help="report with all figures, a JSON file")
    check.set_defaults(run=_measure)
    for verb in (label, check):
        verb.add_argument("--rules", type=Path, required=True, help="rules, a TOML file")
        verb.add_argument("--teacher", type=Path, required=True, metavar="WEIGHTS")
        verb.add_argument(
            "--data", type=Path, default=Path("../shared/data"), help="masks/, photos/, weights/"
        )
    sheet = verbs.add_parser("sheet", help="draw some of the labels")
    sheet.add_argument("--labels", type=Path, required=True, help="OUT/SOURCE")
    sheet.add_argument("--out", type=Path, required=True, help="a PNG file")
    sheet.add_argument("--count", type=int, default=24)
    sheet.add_argument("--columns", type=int, default=6)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.set_defaults(run=_sheet)
    return parser


def _label(args: argparse.Namespace) -> None:
    rules = load_rules(args.rules)
    teacher = keep_teacher(args.teacher, args.out)
    label_all(Labeller.load(rules, teacher, args.data), args.data, args.out)


def _measure(args: argparse.Namespace) -> None:
    rules, recipe = load_rules(args.rules), load_recipe(args.config)
    labeller = Labeller.load(rules, args.teacher, args.data)
    split = split_sources(args.data, recipe.data)
    kept = split.train if args.part == "train" else split.validation
    unknown = sorted(set(args.sources or ()) - kept.keys())
    if unknown:
        raise RecipeError(f"--sources: {', '.join(unknown)}: not in {args.config}")
    names = args.sources or kept
    rows, found = measure(labeller, [e for n in names for e in kept[n][: args.max_photos]])
    figures = report(rows, found, rules.keep)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({**labeller.maker, **figures}, indent=1) + "\n", "utf-8")
    for name in ("detector", "rules", "rules_unmatched_too", "by_trust"):
        log.info("%s: %s", name, json.dumps(figures[name], indent=1))


def _sheet(args: argparse.Namespace) -> None:
    picture = draw_sheet(args.labels, args.count, args.columns, args.seed)
    if not cv2.imwrite(str(args.out), picture[..., ::-1]):
        raise OSError(f"cannot write {args.out}")
    log.info("written to %s", args.out)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is done, 2 for wrong rules, recipe, weights or folders.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # self-training gives way to a training on the same machine
    try:
        args.run(args)
    except (RecipeError, CheckpointError) as error:
        log.error("%s", error)
        return EXIT_USAGE
    return EXIT_DONE
