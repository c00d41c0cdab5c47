"""`edgesam-doctor`: what this board has, lacks, and the next step."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import edgesam_rt
from edgesam_rt.bench.report import check_place
from edgesam_rt.cli import doctor_arguments as arguments
from edgesam_rt.cli.exits import run_command
from edgesam_rt.cli.memory import limit_arenas
from edgesam_rt.doctor import report as reports
from edgesam_rt.doctor import text
from edgesam_rt.doctor.patient import Machine, admit
from edgesam_rt.doctor.visit import Visit
from edgesam_rt.errors import BackendMissing, BundleError, EdgeSamError

GOOD, FAILS = 0, EdgeSamError.exit_code


class _Printer:
    """Writes findings as they come, each group under its heading; `--json` writes none."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._group = ""
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def __call__(self, check: reports.Check) -> None:
        if self._silent:
            return
        if check.group != self._group:
            self._group = check.group
            sys.stdout.write(text.heading(check.group))
        sys.stdout.write(text.line(check, colour=self._colour))
        sys.stdout.flush()


def _examine(args: argparse.Namespace, machine: Machine | None) -> int:
    patient = admit(args.board, args.bundle, quick=args.quick, machine=machine)
    if args.bundle is not None:
        with contextlib.suppress(BundleError):  # a finding; a wrong name is a mistake of the user
            patient.bundle()
    out: Path | None = args.out
    if args.prove and out is None:
        out = Path(f"edgesam-doctor-{patient.board.name}.json")
    if out is not None:
        check_place(out, reports.WHO)
    visit = Visit(patient, _Printer(silent=args.json))
    visit.examine()
    if args.prove and out is not None:
        reports.write(visit.report(), out)  # a driver may take the process with it
        visit.prove(_say)
    made = visit.report()
    sys.stdout.write(reports.encode(made).decode() if args.json else text.summary(made.counts))
    if out is not None:
        reports.write(made, out)
        _say(f"report: {out}" + (" (please send it back)" if args.prove else ""))
    return _exit_code(made, visit.missing() if args.prove else ())


def _exit_code(made: reports.Report, missing: Sequence[str]) -> int:
    if missing:
        _say(f"not proved: {', '.join(missing)} is not installed here.")
        return BackendMissing.exit_code
    return FAILS if made.counts["FAIL"] else GOOD


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Run the command; returns its exit code.

    Args:
        argv: what was typed; None is the process's own.
        machine: how to look at it; tests look at a folder.
    """
    limit_arenas()
    args = arguments.parser(edgesam_rt.__version__).parse_args(argv)
    return run_command(lambda: _examine(args, machine))


if __name__ == "__main__":
    sys.exit(main())
