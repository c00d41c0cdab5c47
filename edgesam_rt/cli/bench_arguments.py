"""The arguments of `edgesam-bench`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from edgesam_rt import boards, bundle
from edgesam_rt.backends.table import TABLE as BACKENDS

DESCRIPTION = """\
Measure this board: stages (fit, encode, score, mask head, post), many prompts,
the pipeline end to end, start-up, memory; energy where there is a sensor;
accuracy where there are photos with true masks (--data).
"""
EPILOG = """\
also:
  edgesam-bench compare A.json B.json     what is slower, what is faster
  edgesam-bench report A.json [B.json ...] --out report.html
  edgesam-bench schema                    the JSON Schema of a report

examples:
  edgesam-bench --quick
  edgesam-bench --out board.json
  edgesam-bench --threads 1,4 --pin 0-3 --out board.json

exit codes: 0 good, 1 failed, 2 wrong usage or configuration, 3 something is
missing here, 70 a bug of ours, 129, 130 and 143 stopped by a signal: then what
was measured so far is in the report, marked as not complete.
"""
COMPARE_EPILOG = """\
A figure differs if it left its band: the sum of both runs' own noise (half the
spread of the medians of their rounds), and at least 5 % (start-up 15 %, energy
10 %, mIoU 0.1 points). Faster counts as much as slower: it may be good news,
a smaller picture, or work that was not done.

exit codes: 0 nothing differs, 1 something does, 2 the files cannot be compared
(other machines without --force, not a report).
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:  # noqa: D102  argparse's own
        self.exit(2, f"error: {message}. See {self.prog} --help.\n")


def _new(name: str, description: str, epilog: str | None = None) -> Parser:
    return Parser(
        allow_abbrev=False,
        prog=f"edgesam-bench {name}".strip(),
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_parser(version: str) -> argparse.ArgumentParser:
    """Of a measurement."""
    p = _new("", DESCRIPTION, EPILOG)
    what = p.add_argument_group("what to measure")
    what.add_argument(
        "--board", default="auto", help=f"auto, {', '.join(boards.names())}; default: auto"
    )
    what.add_argument(
        "--bundle",
        metavar="NAME|PATH",
        help=f"engines: {', '.join(bundle.installed())} or a folder; default: the board's",
    )
    what.add_argument("--backend", help=f"{', '.join(BACKENDS)}; default: the board's")
    what.add_argument(
        "--encoder-side",
        type=_counts,
        default=(),
        metavar="PX[,PX]",
        help="default: the board's ladder",
    )
    what.add_argument(
        "--threads", type=_counts, default=(), metavar="N[,N]", help="default: the board's"
    )
    what.add_argument("--quick", action="store_true", help="a short run, for trying")
    what.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="photos with annotations.json in COCO's form: adds accuracy (polygons need "
        "pip install 'edgesam_rt[bench]')",
    )
    what.add_argument("--photos", type=_count, metavar="N", help="only the first N of them")
    how = p.add_argument_group("how")
    how.add_argument(
        "--pin",
        type=_cores,
        default=(),
        metavar="CORES",
        help="tie the process to cores: 0,2 or 0-3; default: it may use all",
    )
    out = p.add_argument_group("what comes out")
    out.add_argument("--out", type=Path, metavar="FILE.json", help="the report")
    out.add_argument("--json", action="store_true", help="the report on stdout, not a table")
    out.add_argument("--quiet", action="store_true", help="nothing on stderr but errors")
    out.add_argument("--version", action="version", version=f"edgesam_rt {version}")
    return p


def compare_parser() -> argparse.ArgumentParser:
    """Of a comparison."""
    p = _new("compare", "What is slower in B than in A, and what is faster.", COMPARE_EPILOG)
    p.add_argument("a", type=Path, metavar="A.json")
    p.add_argument("b", type=Path, metavar="B.json")
    p.add_argument("--force", action="store_true", help="even if the machines differ")
    p.add_argument("--json", action="store_true", help="as JSON")
    return p


def report_parser() -> argparse.ArgumentParser:
    """Of a page."""
    p = _new("report", "One HTML page about one report or several; it needs no other file.")
    p.add_argument("files", nargs="+", type=Path, metavar="REPORT.json")
    p.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    return p


def schema_parser() -> argparse.ArgumentParser:
    """Of the schema."""
    return _new("schema", "Print the JSON Schema of a report.")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_count(part) for part in text.split(",")))


def _cores(text: str) -> tuple[int, ...]:
    """Cores as the kernel writes them, "0,2-3"; each must be usable."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            raise argparse.ArgumentTypeError(f"expected cores such as 0,2-3, got {text!r}")
        found.update(range(int(first), int(last or first) + 1))
    if not hasattr(os, "sched_getaffinity"):
        raise argparse.ArgumentTypeError("this system cannot tie a process to cores")
    usable = os.sched_getaffinity(0)
    if not found or not found <= usable:
        known = ",".join(map(str, sorted(usable)))
        raise argparse.ArgumentTypeError(f"cores {text}: this process may use {known}")
    return tuple(sorted(found))
