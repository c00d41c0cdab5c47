"""The verbs `ptq-report` and `sensitivity` of `edgesam-engines`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgesam_engines.command_parts import AddVerb, Steps, factory
from edgesam_rt.bench import environment
from edgesam_rt.errors import ConfigError

SCHEMA = 1  # the shape that `benchmarks/report.py` reads


def add_verbs(verb: AddVerb) -> None:
    """Add both to the command."""
    p = verb(
        "ptq-report",
        _report,
        "Compare all ways to find INT8 ranges, with and without bias correction, on photos.",
    )
    _add_source(p)
    p.add_argument(
        "--truth", type=Path, metavar="DATA", help="data folder with labelled photos to judge on"
    )
    p.add_argument("--judged", type=_count, default=16, help="photos to judge on; default 16")
    p.add_argument("--labelled", type=_count, default=48, help="labelled photos; default 48")
    p.add_argument("--objects", type=_count, default=2, help="objects of each; default 2")
    p.add_argument("--out", type=Path, metavar="FILE", help="write all figures as JSON")
    p = verb(
        "sensitivity",
        _sensitivity,
        "Show what each part of an encoder costs in INT8: it alone rounded, and all but it.",
    )
    _add_source(p)
    p.add_argument("--by", choices=("block", "operation"), default="block", help="default: block")
    p.add_argument("--judged", type=_count, default=2, help="photos to judge on; default 2")
    p.add_argument("--top", type=_count, default=20, help="rows to list; default 20")
    p.add_argument("--out", type=Path, metavar="FILE", help="write all rows as JSON")


def _add_source(p: argparse.ArgumentParser) -> None:
    p.add_argument("recipe", help="an INT8 recipe's name or TOML file, such as pocketsam-int8")
    p.add_argument(
        "--calibration", type=Path, metavar="DIR", required=True, help="photos; others judge"
    )
    p.add_argument("--checkpoint", type=Path, help="weights; default: the recipe's")
    p.add_argument("--side", type=_count, help="of the encoder, px; default: the recipe's first")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _study(args: argparse.Namespace, **more: Any) -> Any:
    report, recipes = factory("ptq_report"), factory("recipe")
    recipe, folder = recipes.load(args.recipe)
    if recipe.precision != "int8":
        raise ConfigError(
            f"{args.verb}: recipe {recipe.name} is {recipe.precision}; ranges are an INT8 matter. "
            "Name an int8 recipe."
        )
    return report.Study(
        recipe=recipe,
        checkpoint=recipes.checkpoint_of(recipe, folder, args.checkpoint),
        photos=args.calibration,
        side=args.side or recipe.sides[0],
        **more,
    )


def _report(args: argparse.Namespace) -> int:
    study = _study(
        args, judged=args.judged, truth=args.truth, labelled=args.labelled, objects=args.objects
    )
    around, neighbours = _environment(), environment.Neighbours()
    figures = factory("ptq_report").run(study, Steps())
    made = {
        "case": "ptq",
        "command": shlex.join(
            ["edgesam-engines", *environment.without_option(sys.argv[1:], "--out")]
        ),
        "environment": {**around, "others_cpu_share": neighbours.share()},
        "parameters": {k: str(v) for k, v in vars(args).items() if k not in ("run", "out", "json")},
        "figures": figures,
        "schema": SCHEMA,
    }
    text = json.dumps(made, indent=1) + "\n"
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text if args.json else table(figures))
    return 0


def _sensitivity(args: argparse.Namespace) -> int:
    report, shelf = factory("sensitivity_report"), factory("ptq.shelf").standard()
    table = report.run(_study(args, judged=args.judged), args.by, shelf, Steps())
    text = json.dumps(table.plain, indent=1) + "\n"
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text if args.json else report.text(table, args.top))
    return 0


def table(figures: Mapping[str, Any]) -> str:
    """A report as a Markdown table."""
    head = ["way", "mask IoU", "p10", "cosine", "SQNR dB"]
    truth = "true_iou" in figures["float"]
    if truth:
        head += [f"{m}: points lost" for m in figures["float"]["true_iou"]]
    lines = [" | ".join([*head, "MB", "ms"]), " | ".join(["---"] * (len(head) + 2))]
    for name, row in figures["ways"].items():
        cells = [
            name,
            f"{row['mask_iou_mean']:.4f}",
            f"{row['mask_iou_p10']:.3f}",
            f"{row['cosine_mean']:.4f}",
            f"{row['embedding_sqnr_db']:.1f}",
        ]
        if truth:
            lost = row["points_lost"].values()
            cells += [f"{p['points']:+.2f} ± {p['standard_error']:.2f}" for p in lost]
        cells += [f"{row['size_bytes'] / 1e6:.2f}", f"{row['encode_ms_p50']:.1f}"]
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def _environment() -> dict[str, Any]:
    machine = environment.machine()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.arch,
        "cpu": machine.cpu,
        "cpu_flags": list(machine.cpu_flags),
        "cores_usable": machine.cores,
        "load_average": list(environment.load_average()),
        **environment.software(),
    }
