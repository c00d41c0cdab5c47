"""`edgesam-engines build --board NAME`: on the board itself, what its backend needs of a bundle.

Needs neither torch nor onnx: it is the runtime that prepares, proves and judges.
"""

from __future__ import annotations

import argparse
import json
import sys

from edgesam_engines.command_parts import Steps, say
from edgesam_rt import backends, boards, proof
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import BackendMissing, ConfigError

FACTORYS_OPTIONS = ("recipe", "checkpoint", "calibration", "truth", "out", "replace")


def build(args: argparse.Namespace) -> int:
    """Prepare and prove a bundle here, or with `--check` only say what there is.

    Raises:
        ConfigError: options that do not go together, or no such board or bundle.
        BackendMissing: the board's backend is not installed.
    """
    for name in FACTORYS_OPTIONS:
        if getattr(args, name):
            raise ConfigError(
                f"build: --board makes what this board needs of a finished bundle; {name!r} "
                "belongs to building a bundle. Give one or the other."
            )
    board = boards.resolve(args.board)
    found = bundles.find(args.bundle or board.bundle)
    to_prepare = [n for n in board.backends if backends.row(n).setup and n in found.backends]
    if not to_prepare:
        say(f"{found.label} on {board.title}: its engines run as they come; nothing to build.")
        return 0
    reports = [_one(found, name, args) for name in to_prepare]
    if args.json:
        sys.stdout.write(json.dumps(reports[0] if len(reports) == 1 else reports, indent=2) + "\n")
    return 0 if all(report["passed"] for report in reports) else 1


def _one(found: bundles.Bundle, name: str, args: argparse.Namespace) -> proof.Report:
    chosen = backends.row(name)
    if not chosen.is_installed:
        raise BackendMissing(f"{name}: not installed. Install it: {chosen.missing}.")
    if args.check:
        reason = backends.why_not(found, name)
        say(f"{found.label}: {name} " + (f"is not used: {reason}" if reason else "is ready"))
        return {"backend": name, "passed": reason is None, "problems": [reason] if reason else []}
    report = proof.prove(found, name, say=Steps(), rebuild=args.rebuild)
    for side in report["sides"]:
        say(_line(side))
    for problem in report["problems"]:
        say(f"{name} was set aside: {problem}")
    if report["passed"]:
        say(f"{found.label}: {name} passed; edgesam-run --board {args.board} uses it from now on.")
    return report


def _line(side: proof.Report) -> str:
    """What is known of one side, for people."""
    words = [f"side {side['side']}: self-test {'failed' if side['self_test'] else 'passed'}"]
    if compared := side.get("compared"):
        words.append(
            f"mean IoU with ONNX Runtime {compared['mean_iou']} over {compared['prompts']} prompts"
        )
    if times := side.get("frame_ms"):
        words += [f"{what} {figures['p50']:.1f} ms" for what, figures in times.items()]
    return ", ".join(words)
