"""`edgesam-engines`: make, check and look at engine bundles."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgesam_engines import board_plans, bundle_lines, ptq_commands, train_command, verify_command
from edgesam_engines.command_parts import Steps, factory, recipe_of, say
from edgesam_rt import bundle as bundles
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import BundleError, ConfigError
from edgesam_rt.paths import cache_dir

DESCRIPTION = "Make, check and look at engine bundles: what crosses from a workstation to a board."


def _build(args: argparse.Namespace) -> int:
    if args.family is not None:
        return _build_family(args)
    if args.board is not None:
        return board_plans.build(args)
    if args.recipe is None:
        raise ConfigError(
            "build: name a recipe or a --family to make a bundle, or --board NAME to make what "
            "this board needs of a finished one."
        )
    if args.precision is not None:
        raise ConfigError(
            f"build: --precision goes with --family; the recipe {args.recipe} has its own."
        )
    if factory("detectors.recipe").is_detector(args.recipe):
        return _build_detector(args)
    return _build_recipe(args, *factory("recipe").load(args.recipe))


def _build_family(args: argparse.Namespace) -> int:
    if args.recipe is not None:
        raise ConfigError(f"build: --family {args.family} or the recipe {args.recipe}, not both.")
    chosen, folder = factory("recipe").of_family(args.family, args.precision)
    target = factory("board_targets").target(chosen, args.board)
    if target.litert:
        factory("litert.add", extra="engines-litert")  # missing packages are said now, not later
    return _build_recipe(args, target.recipe, folder, litert=target.litert)


def _build_recipe(
    args: argparse.Namespace, chosen: Any, folder: Path, *, litert: bool = False
) -> int:
    build, recipe = factory("build"), factory("recipe")
    if chosen.precision == "int8" and args.calibration is None:
        raise ConfigError("build: an INT8 bundle needs --calibration DIR with some dozen photos.")
    job = build.Job(
        recipe=chosen,
        checkpoint=recipe.checkpoint_of(chosen, folder, args.checkpoint),
        calibration_folder=args.calibration,
        out=args.out or Path(chosen.name),
        replace=args.replace,
        below_target=args.below_target,
        discovery=(folder / chosen.discovery.checkpoint).resolve() if chosen.discovery else None,
        litert=litert,
        cache=cache_dir() / "factory",
    )
    sys.stderr.write(f"weights: {chosen.licence}\n")
    made = build.run(job, Steps())
    _print_bundle(made, as_json=args.json)
    return 0


def _build_detector(args: argparse.Namespace) -> int:
    build, recipe = factory("detectors.build"), factory("detectors.recipe")
    chosen = recipe.load(args.recipe)
    for flag in ("checkpoint", "calibration"):
        if getattr(args, flag) is None:
            raise ConfigError(
                f"build: a detector needs --{flag}: --checkpoint FILE (or the folder it lies in) "
                "for its weights, --calibration DIR with some dozen photos."
            )
    job = build.Job(
        recipe=chosen,
        checkpoint=args.checkpoint,
        calibration_folder=args.calibration,
        truth_folders=tuple(args.truth or ()),
        out=args.out or Path(chosen.name),
        replace=args.replace,
    )
    sys.stderr.write(f"weights: {chosen.licence}\n")
    _print_bundle(build.run(job, Steps()), as_json=args.json)
    return 0


def _add_litert(args: argparse.Namespace) -> int:
    add = factory("litert.add", extra="engines-litert")
    verify, recipes, families = (factory(n) for n in ("verify", "recipe", "families.table"))
    found = bundles.find(args.bundle)
    recipe, folder = recipe_of(found, args.recipe)

    def weights() -> tuple[Any, Any]:
        family = families.open_family(found.manifest.family)
        return family, family.load(recipes.checkpoint_of(recipe, folder, args.checkpoint))

    made = add.run(found, weights, verify.photos_for(args.photos, recipe), Steps())
    _print_bundle(made, as_json=args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    if args.families:
        return int(factory("families_list").show(as_json=args.json))
    rows = {}
    for name, folder in bundles.installed().items():
        try:
            rows[name] = bundles.load_any(folder)
        except BundleError as error:
            say(f"left out: {error}")
    if args.json:
        plain = {name: bundle_lines.summary(found) for name, found in rows.items()}
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return 0
    for name, found in rows.items():
        sys.stdout.write(bundle_lines.row(name, found) + "\n")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    found = bundles.find_any(args.bundle)
    for entry in found.manifest.engines:
        found.path(entry)  # checks the hash
    _print_bundle(found, as_json=args.json)
    return 0


def _print_bundle(found: bundles.Bundle | bundles.DetectorBundle, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write((found.folder / bundles.MANIFEST).read_text(encoding="utf-8"))
        return
    sys.stdout.write("\n".join(bundle_lines.lines(found)) + "\n")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="edgesam-engines", description=DESCRIPTION)
    top.add_argument("-v", "--verbose", action="store_true", help="say more on stderr")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    p = verb(
        "build",
        _build,
        "Make a bundle from a recipe and a checkpoint; or, on a board, what it needs of a bundle.",
    )
    p.add_argument("recipe", nargs="?", help="a recipe's name or TOML file: pocketsam-int8")
    p.add_argument("--family", help="a published model's: mobilesam; needs --checkpoint")
    p.add_argument("--precision", choices=("int8", "fp16", "fp32"), help="default: the recipe's")
    p.add_argument(
        "--board",
        metavar="NAME",
        help="with --family: the board it is for; else prepare a bundle on this board, or auto",
    )
    p.add_argument("--bundle", help="with --board: name or folder; default: the board's")
    p.add_argument("--rebuild", action="store_true", help="with --board: also what is there")
    p.add_argument("--check", action="store_true", help="with --board: say what there is")
    p.add_argument("--checkpoint", type=Path, help="weights; default: the recipe's")
    p.add_argument("--calibration", type=Path, metavar="DIR", help="photos for INT8 ranges")
    p.add_argument(
        "--truth",
        type=Path,
        action="append",
        metavar="DIR",
        help="photos with id maps to report a detector's box recall on; repeatable",
    )
    p.add_argument("--out", type=Path, metavar="BUNDLE", help="folder; default: the recipe's name")
    p.add_argument("--replace", action="store_true", help="replace an existing bundle")
    p.add_argument(
        "--below-target", action="store_true", help="pack also what misses the recipe's target"
    )
    p.add_argument("--json", action="store_true", help="print the manifest, or the report")

    verify_command.add_verb(verb)

    p = verb("add-litert", _add_litert, "Add LiteRT engines (.tflite) to a bundle of ONNX ones.")
    p.add_argument("bundle", help="name or folder; those it has are replaced")
    p.add_argument("--photos", type=Path, metavar="DIR", required=True, help="to compare both on")
    p.add_argument("--checkpoint", type=Path, help="weights; default: the recipe's")
    p.add_argument("--recipe", help="default: the one of the bundle's name")
    p.add_argument("--json", action="store_true", help="print the manifest")

    p = verb("list", _list, "List the bundles on the search path (EDGESAM_BUNDLES adds folders).")
    p.add_argument(
        "--families",
        action="store_true",
        help="instead the published models that can be built: files, licences",
    )
    p.add_argument("--json", action="store_true")

    p = verb("inspect", _inspect, "Show a bundle and check its files' hashes.")
    p.add_argument("bundle", help="name or folder")
    p.add_argument("--json", action="store_true", help="print the manifest")
    ptq_commands.add_verbs(verb)
    train_command.add_verb(verb)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.ERROR, format="%(message)s")
    return run_command(lambda: int(args.run(args)))


if __name__ == "__main__":
    sys.exit(main())
