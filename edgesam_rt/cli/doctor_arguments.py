"""The arguments of `edgesam-doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgesam_rt import boards, bundle
from edgesam_rt.cli.bench_arguments import Parser

DESCRIPTION = """\
Look at this machine: board, system, processor, memory, heat, power, cameras,
software, and the bundle's engines at work. Every finding is PASS, WARN, FAIL or
SKIP, with the next step where there is one.
"""
EPILOG = """\
examples:
  edgesam-doctor
  edgesam-doctor --quick --json
  edgesam-doctor --prove --out board.json     a report to send back

exit codes: 0 nothing fails, 1 something does, 2 wrong usage or configuration,
3 --prove was asked for and the board's first backend is not installed, 70 a bug
of ours, 130 stopped.
"""


def parser(version: str) -> argparse.ArgumentParser:
    """Of the command."""
    p = Parser(
        allow_abbrev=False,
        prog="edgesam-doctor",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--board",
        default="auto",
        metavar="NAME",
        help=f"auto, {', '.join(boards.names())}; default: auto",
    )
    p.add_argument(
        "--bundle",
        metavar="NAME|PATH",
        help=f"engines: {', '.join(bundle.installed())} or a folder; default: the board's",
    )
    p.add_argument("--quick", action="store_true", help="one encoder side, few repeats")
    p.add_argument(
        "--prove",
        action="store_true",
        help="compare every installed backend with ONNX Runtime and write a report to send "
        "back; on a Jetson it builds TensorRT's plans first, which takes minutes",
    )
    p.add_argument("--out", type=Path, metavar="FILE.json", help="write the report here")
    p.add_argument("--json", action="store_true", help="the report on stdout, not text")
    p.add_argument("--version", action="version", version=f"edgesam_rt {version}")
    return p
