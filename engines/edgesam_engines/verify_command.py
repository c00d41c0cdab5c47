"""The verb `verify` of `edgesam-engines`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgesam_engines.command_parts import AddVerb, Steps, factory, recipe_of
from edgesam_rt import bundle as bundles


def add_verb(verb: AddVerb) -> None:
    """Add it to the command."""
    p = verb("verify", _run, "Compare a bundle's engines with the float model.")
    p.add_argument("bundle", help="name or folder")
    p.add_argument("--checkpoint", type=Path, help="weights; default: the recipe's")
    p.add_argument("--recipe", help="default: the one of the bundle's name")
    p.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="to ask about, best with masks beside them; default: two built-in pictures",
    )
    p.add_argument(
        "--masks",
        type=Path,
        metavar="PATH",
        help="true masks of the photos: a folder, or COCO's JSON; default: those beside them",
    )
    p.add_argument("--write", action="store_true", help="put the report into the bundle")


def _run(args: argparse.Namespace) -> int:
    verify, recipes, families = (factory(n) for n in ("verify", "recipe", "families.table"))
    found, steps = bundles.find(args.bundle), Steps()
    recipe, folder = recipe_of(found, args.recipe)
    family = families.open_family(found.manifest.family)
    checkpoint = recipes.checkpoint_of(recipe, folder, args.checkpoint)
    photos, masks = factory("verify_cases").with_masks(args.photos, recipe, args.masks)
    steps(f"load {checkpoint.name}")
    report = verify.against_float(
        found.folder, family, family.load(checkpoint), photos, masks=masks, progress=steps
    )
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    if args.write:
        _write(found, report)
    if photos:
        verify.require(report, recipe.acceptance)
    else:
        steps("two built-in pictures judge nothing: name photos by --photos for a verdict")
    return 0


def _write(found: bundles.Bundle, report: Mapping[str, Any]) -> None:
    """Put a report in the place of the bundle's last one; what else the manifest says stays."""
    manifest = found.manifest
    verification = {**manifest.verification, **report}
    factory("pack").write_manifest(
        found.folder, msgspec.structs.replace(manifest, verification=verification)
    )
