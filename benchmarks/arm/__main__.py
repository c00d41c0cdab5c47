"""The proof on Arm: an arm64 userland under QEMU runs the job as a Raspberry Pi 5 and 4 would.

Builds the wheel, unpacks it with its arm64 dependencies, runs `edgesam-run --board rpi5` and `rpi4`
on a photo there and here, and compares masks, every stage before them, and every integer operator
alone; counts dot-product instructions; measures the install and what can be trimmed. Exits with 1
if a promise of `verdict.py` is broken.

Needs root, about 2 GB and ten minutes; the userland is kept. Times under emulation say nothing of a
board and are not recorded. `python -m benchmarks.report FILE --update docs/arm-proof.md` makes the
page's tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.arm import site, trimming, verdict
from benchmarks.arm.board_runs import CPUS, Bench, prove, prove_adds, prove_operators
from benchmarks.arm.userland import Userland
from edgesam_rt import bundle as bundles
from edgesam_rt.cli.exits import run_command

PHOTO = Path("demo/photos/white-car.jpg")
WITH_LITERT = "litert"  # the folder of packages that has LiteRT too


def _say(words: str) -> None:
    sys.stderr.write(f"{words} ...\n")


def litert_is_missing() -> str | None:
    """Why LiteRT cannot be proved; None if it can."""
    if "litert" not in bundles.find(None).backends:
        return "the bundle has no LiteRT engines"
    if find_spec("ai_edge_litert") is None:
        return "ai-edge-litert is not installed here (pip install 'edgesam_rt[litert]')"
    return None


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All of it, in order."""
    userland = Userland(args.work.resolve())
    userland.bring_up()
    missing = litert_is_missing()
    _say("building the wheel, unpacking it for arm64")
    wheel = site.build_wheel(userland.folder / "dist")
    versions, sites = _install(userland, wheel, with_litert=missing is None)
    work = userland.folder / "here"
    work.mkdir(exist_ok=True)
    here = site.install_here(userland.folder / "site", wheel)
    bench = Bench(userland, work, here, args.photo.resolve())
    found: dict[str, list[Any]] = {"runs": [], "operators": [], "adds": []}
    for board in args.board:
        for name, rows in _one_board(bench, board, sites).items():
            found[name] += rows
    _say("sizes, trimming")
    return {
        "versions": versions,
        "skipped": [] if missing is None else [f"litert: {missing}"],
        **found,
        "install": {name: trimming.measure(bench, name, b) for b, name in sites.items()},
    }


def _install(
    userland: Userland, wheel: Path, *, with_litert: bool
) -> tuple[list[str], dict[str, str]]:
    """Versions, and the folder of packages of each backend."""
    versions = site.install(userland, trimming.BASE, wheel)
    if not with_litert:
        return versions, {"onnxruntime": trimming.BASE}
    versions = site.install(userland, WITH_LITERT, wheel, (site.LITERT,))
    return versions, {"onnxruntime": trimming.BASE, "litert": WITH_LITERT}


def _one_board(bench: Bench, board: str, sites: Mapping[str, str]) -> dict[str, list[Any]]:
    label = f"{board} as {CPUS[board]}"
    runs, operators = [], []
    for backend, packages in sites.items():
        _say(f"{label}, {backend}")
        runs.append(prove(bench, board, backend, packages))
    for side in bench.bundle.sides("onnxruntime"):
        _say(f"{label}, every operator of side {side}")
        operators.append(prove_operators(bench, board, side, trimming.BASE))
    adds = [prove_adds(bench, board, trimming.BASE)]
    return {"runs": runs, "operators": operators, "adds": adds}


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("arm-proof", "benchmarks.arm", args)
    found = verdict.broken(recorder.finish(measure(args)).figures)
    for words in found:
        sys.stderr.write(f"broken: {words}\n")
    return 1 if found else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.arm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--work", type=Path, default=Path("out/arm64"), metavar="DIR", help="kept")
    p.add_argument("--photo", type=Path, default=PHOTO)
    p.add_argument("--board", nargs="+", choices=list(CPUS), default=list(CPUS))
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
