"""A budget under load: a real `edgesam-run` on a live source, robbed of the processor meanwhile.

Every case starts the command, leaves it alone, takes the processor away (half a core, a quarter of
one, busy processes beside it), gives it back, and reads from the results what became of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.budget import judge
from benchmarks.budget.judge import Phase
from benchmarks.budget.limits import Load, Rivals, share_of_a_core
from edgesam_rt.boards import usable_cores
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import PipelineError

STARTS_S = 30.0  # how long the command may take to its first result
CASES = ("half a core", "quarter of a core", "rivals")
MODES = {
    "prompt": ("--point", "320,180"),
    "track": ("--mode", "track", "--point", "320,180"),
    "everything": ("--mode", "everything", "--strategy", "grid"),
}


@contextlib.contextmanager
def load_of(case: str) -> Iterator[Load]:
    """The load of a case."""
    if case == "rivals":
        yield Rivals(2 * usable_cores())
        return
    with share_of_a_core(0.5 if case == "half a core" else 0.25) as load:
        yield load


def run_case(case: str, mode: str, budget_ms: float, args: argparse.Namespace) -> dict[str, Any]:
    """One run under one load.

    Raises:
        PipelineError: the command failed, or gave no result in time.
    """
    with tempfile.TemporaryDirectory() as folder, load_of(case) as load:
        out = Path(folder) / "results.jsonl"
        with _started(args.source, mode, budget_ms, out) as child:
            _wait_for_results(child, out)
            began_ns = time.monotonic_ns()
            phases = _rob(child.pid, load, args, began_ns)
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    found = judge.figures(judge.points_of(rows, began_ns), phases, budget_ms)
    return {"case": case, "how": load.how, "budget_ms": budget_ms, **found}


@contextlib.contextmanager
def _started(
    source: str, mode: str, budget_ms: float, out: Path
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "edgesam_rt.cli.run", source, "--quiet", *MODES[mode]]
    command += ["--budget-ms", f"{budget_ms:g}", "--out", f"jsonl:{out}?rle=0"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=STARTS_S)
    if child.returncode not in (0, 128 + signal.SIGINT):
        raise PipelineError(f"{' '.join(command)}: exit code {child.returncode}: {said[-500:]!r}")


def _wait_for_results(child: subprocess.Popen[bytes], out: Path) -> None:
    until = time.monotonic() + STARTS_S
    while child.poll() is None and time.monotonic() < until:
        if out.is_file() and out.stat().st_size:
            return
        time.sleep(0.05)
    raise PipelineError(f"edgesam-run gave no result within {STARTS_S:g} s.")


def _rob(pid: int, load: Load, args: argparse.Namespace, began_ns: int) -> list[Phase]:
    """Begin and end the load, as often as asked; returns when it was."""
    phases = []
    time.sleep(args.quiet_s)
    for _ in range(args.times):
        begin_s = (time.monotonic_ns() - began_ns) / 1e9
        load.begin(pid)
        time.sleep(args.load_s)
        load.end(pid)
        phases.append(Phase(begin_s, (time.monotonic_ns() - began_ns) / 1e9))
        time.sleep(args.quiet_s)
    return phases


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder(f"budget-{args.mode}", "benchmarks.budget", args)
    rows = [run_case(case, args.mode, args.budget_ms, args) for case in args.cases]
    recorder.finish({"mode": args.mode, "adapts_s": judge.ADAPTS_S, "rows": rows})
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.budget",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--source", default="synthetic:?live=true&fps=15&size=640x480")
    p.add_argument("--mode", choices=tuple(MODES), default="prompt")
    p.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    p.add_argument("--budget-ms", type=float, default=150.0)
    p.add_argument("--load-s", type=float, default=15.0, help="how long a load lasts")
    p.add_argument("--quiet-s", type=float, default=6.0, help="before, between and after loads")
    p.add_argument("--times", type=int, default=1, help="loads per run")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
