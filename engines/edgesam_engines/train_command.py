"""The verb `train` of `edgesam-engines`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgesam_engines.command_parts import AddVerb, factory, say
from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path

_ONLY_NEW = ("data", "images", "init", "teacher", "recipe")  # not to be changed by a resume


def add_verb(verb: AddVerb) -> None:
    """Add it to the command."""
    p = verb("train", _train, "Train PocketSAM further on your own photos, masks and teachers.")
    p.add_argument("--out", type=Path, required=True, help="folder of the run; it can be resumed")
    p.add_argument(
        "--data",
        type=user_path,
        metavar="FOLDER|COCO.json",
        help="photos with masks, in the forms of docs/training.md; optional with a teacher",
    )
    p.add_argument("--images", type=user_path, metavar="DIR", help="photos; default: with the data")
    p.add_argument(
        "--init",
        metavar="CHECKPOINT",
        help="PocketSAM's weights, or 'imagenet' for its trunk's alone; default: as it ships",
    )
    p.add_argument(
        "--teacher", metavar="FAMILY:CHECKPOINT", help="learn from its answers on the photos"
    )
    p.add_argument("--recipe", help="finetune, distil or a TOML file; default: by --teacher")
    p.add_argument("--steps", type=_count, help="default: the recipe's")
    p.add_argument("--threads", type=_count, help="of the processor; default: the recipe's")
    p.add_argument(
        "--blend",
        type=_share,
        metavar="SHARE",
        help="0 to 1: how much of what was learnt is taken, to forget less; default: chosen on the "
        "photos held out; 1: all",
    )
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got {number}")
    return number


def _train(args: argparse.Namespace) -> int:
    jobs, tune = (factory(f"train.{name}", extra="train") for name in ("job", "tune"))
    out = user_path(args.out)
    if args.resume:
        _refuse_changes(args)
        job = jobs.resume(out, steps=args.steps, threads=args.threads, blend=args.blend)
    else:
        if args.data is None:
            raise ConfigError("train: name your photos with --data, or go on with --resume.")
        job = jobs.begin(_job(args, jobs), out)
    return int(tune.run(job, out, say))


def _refuse_changes(args: argparse.Namespace) -> None:
    given = [f"--{name}" for name in _ONLY_NEW if getattr(args, name) is not None]
    if given:
        raise ConfigError(
            f"train: --resume goes on with what the run was begun with; {', '.join(given)} cannot "
            "be changed. Begin another run in another folder."
        )


def _job(args: argparse.Namespace, jobs: Any) -> Any:
    """The job, seen to be possible as far as that takes no time."""
    job = jobs.Job(
        data=args.data.absolute(),
        images=args.images and args.images.absolute(),
        init=args.init,
        teacher=args.teacher,
        recipe=args.recipe,
        steps=args.steps,
        threads=args.threads,
        blend=args.blend,
    )
    return jobs.checked(job)
