"""Every benchmark, one after the other, each in a process of its own, into files of stable names.

`speed.json`, `pipeline.json`, `limit.json`, `everything.json`, `accuracy.json`,
`accuracy-clips.json` in `--out`; then `python -m benchmarks.report` makes the tables. Quiet the
machine first: the load average at the start is in every file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgesam_rt.bundle import DEFAULT

DATA = Path("../shared/data")
OUT = Path("benchmarks/results")


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """The arguments of every benchmark, by case; speed first, while the machine is cool."""
    pair = [word for name in (args.float, args.bundle) if name for word in ("--bundle", name)]
    few = ["--photos", str(args.photos)] if args.photos else []
    told = {
        "speed": ["--bundle", args.bundle, *(["--float", args.float] if args.float else [])],
        "pipeline": ["--bundle", args.bundle],
        "limit": pair,
        "everything": ["--bundle", args.bundle, *few],
        "accuracy": [*pair, *few],
        "accuracy-clips": [*pair, "--on", "clips"],
    }
    return {
        case: [*words, "--data", str(args.data), "--json", str(args.out / f"{case}.json")]
        for case, words in told.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; stops at the first benchmark that fails, with its exit code."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.all",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", default=DEFAULT, metavar="NAME|PATH", help="the INT8 one")
    p.add_argument("--float", metavar="NAME|PATH", help="its float twin")
    p.add_argument(
        "--photos", type=int, metavar="N", help="accuracy and everything on the first N alone"
    )
    p.add_argument("--data", type=Path, default=DATA, help="folder that holds coco-val and clips")
    p.add_argument("--out", type=Path, default=OUT, metavar="DIR")
    args = p.parse_args(argv)
    for case, words in commands(args).items():
        sys.stderr.write(f"{case} ...\n")
        module = case.partition("-")[0]
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words]).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
