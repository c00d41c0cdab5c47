"""The command: upstream's code and ours on photos; what agrees is kept as a golden file."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_engines import build, recipe
from edgesam_engines.checkpoints import read_weights
from edgesam_engines.command_parts import Steps, say
from edgesam_engines.families.base import Family
from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import compare, seeded
from edgesam_engines.parity.upstream import TABLE
from edgesam_rt import bundle as bundles
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.imaging.files import is_picture_name, read_image
from edgesam_rt.types import U8

SEED = 1


def _run(args: argparse.Namespace) -> int:
    if args.family not in TABLE:
        raise ConfigError(unknown_name("family", args.family, TABLE))
    photos = sorted(p for p in args.photos.iterdir() if is_picture_name(p))[: args.most]
    if not photos:
        raise ConfigError(f"--photos {args.photos}: no pictures.")
    with tempfile.TemporaryDirectory() as folder:
        golden = _golden(args, photos, Path(folder))
    problems = [text for report in golden["photos"] for text in compare.failures(report)]
    for text in problems:
        say(text)
    if args.out is not None and not problems:
        args.out.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    say(compare.summary(golden))
    say(f"{args.family}: " + ("differs from upstream" if problems else "agrees with upstream"))
    return 1 if problems else 0


def _golden(args: argparse.Namespace, photos: Sequence[Path], folder: Path) -> dict[str, Any]:
    row, steps = TABLE[args.family], Steps()
    model = row.model(args.upstream)
    shapes = seeded.shapes_of(model.state_dict())
    model.load_state_dict(row.weights(shapes, args.seed))
    checkpoint = row.saved(model.eval(), args.keep or folder / "seeded.pt")
    family = open_family(row.family or args.family)
    wanted, _ = recipe.of_family(family.name, "fp32")
    job = build.Job(wanted, checkpoint, None, folder)
    build.write_engines(job, family, family.load(checkpoint), folder, steps)
    bundle, reports = bundles.load(folder), []
    for name, pixels in pictures(photos):
        steps(name)
        ours = compare.Ours(bundle, pixels, wanted.sides[0])
        theirs = row.looks(model, pixels, args.upstream)
        reports.append({"photo": name, **compare.compare(theirs, ours, pixels.shape[:2])})
    return {
        "family": args.family,
        "seed": args.seed,
        "layout": seeded.layout_digest(_loaded_shapes(family, checkpoint)),
        "tensors": len(shapes),
        "photos": reports,
    }


def _loaded_shapes(family: Family, checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """Of what a family takes from a file."""
    if isinstance(family, SamFamily):
        return seeded.shapes_of(family.weights(checkpoint))
    return seeded.shapes_of(read_weights(checkpoint))


def pictures(photos: Sequence[Path]) -> Iterator[tuple[str, U8]]:
    """Photos with their names; every other one lies on its side, to have tall ones, too."""
    for i, path in enumerate(photos):
        pixels = read_image(path)
        yield path.name, np.ascontiguousarray(np.rot90(pixels)) if i % 2 else pixels


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    p = argparse.ArgumentParser(prog="python -m edgesam_engines.parity", description=__doc__)
    p.add_argument("family", help=", ".join(TABLE))
    p.add_argument("--upstream", type=Path, required=True, metavar="DIR", help="its checkout")
    p.add_argument("--photos", type=Path, required=True, metavar="DIR")
    p.add_argument("--most", type=int, default=4, metavar="N", help="photos to look at")
    p.add_argument("--seed", type=int, default=SEED)
    p.add_argument("--keep", type=Path, metavar="FILE", help="keep the seeded checkpoint")
    p.add_argument("--out", type=Path, metavar="FILE", help="write the golden file")
    return run_command(lambda: _run(p.parse_args(argv)))
