"""The demo: cuts objects out of photos and a clip by the real command, and makes a page of it.

    python demo/run.py --out out/demo

`make demo` does that in an environment of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facts import Machine
    from page import Run

REPO = Path(__file__).resolve().parents[1]
QUICK_SECONDS = 0.6  # of the clip
MISSING, INTERRUPTED = 3, 130


class StepError(Exception):
    """A step failed; it said why itself."""

    def __init__(self, title: str, command: str, exit_code: int) -> None:
        super().__init__(f"{title}: this command ended with exit code {exit_code}:\n  {command}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Step:
    """A command to run.

    Attributes:
        title: what it does.
        program: ("edgesam-run",), or a Python file.
        options: what follows.
        has_summary: whether it prints one by `--json`.
    """

    title: str
    program: str
    options: tuple[str, ...]
    has_summary: bool = True

    def argv(self) -> list[str]:
        """What to run: the installed command if there is one, else its module."""
        if self.program != "edgesam-run":
            return [sys.executable, self.program, *self.options]
        installed = Path(sys.executable).with_name(self.program)
        how = (
            [str(installed)] if installed.exists() else [sys.executable, "-m", "edgesam_rt.cli.run"]
        )
        return [*how, *self.options]

    def text(self) -> str:
        """The command as a person would type it in the repository."""
        return shlex.join([_short(Path(part)) if "/" in part else part for part in self.argv()])


def _short(path: Path) -> str:
    """A path below the repository without what is above."""
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)


def _cut(title: str, source: str, how: Sequence[str], *sinks: str) -> Step:
    """A step that cuts objects out of a source."""
    outs = (part for sink in sinks for part in ("--out", sink))
    return Step(title, "edgesam-run", (source, *how, *outs, "--json"))


def steps(out: Path, *, quick: bool) -> list[Step]:
    """What the demo runs, in order.

    Args:
        out: folder for everything that is made.
        quick: less of everything.
    """
    to = _short(out)
    length = ("--seconds", str(QUICK_SECONDS)) if quick else ()
    some, count = ("woman-in-room.jpg", "a photo") if quick else ("[cw]o*.jpg", "two photos")
    return [
        _cut(
            *("Photos, by clicks and boxes", "demo/photos", ("--prompts", "demo/prompts.json")),
            *(f"overlay:{to}/photos", f"masks:{to}/masks", f"jsonl:{to}/photos.jsonl"),
        ),
        Step(
            "A clip, made of three of the photos and their masks",
            "demo/make_clip.py",
            ("--masks", f"{to}/masks", "--out", f"{to}/clip.webm", *length),
            has_summary=False,
        ),
        _cut(
            *("The clip, frame by frame", f"{to}/clip.webm"),
            ("--prompts", f"{to}/clip.prompts.json"),
            *(f"overlay:{to}/clip-overlay.webm", f"jsonl:{to}/clip.jsonl"),
        ),
        _cut(
            *(f"Everything in {count}", f"demo/photos/{some}", ("--mode", "everything")),
            *(f"overlay:{to}/everything", f"jsonl:{to}/everything.jsonl"),
        ),
    ]


def run_step(step: Step, number: str) -> Run:
    """Run a command; what it says on stderr is shown, its summary is kept.

    Raises:
        StepError: it failed.
    """
    from page import Run

    print(f"{number}  {step.title}\n     $ {step.text()}", flush=True)
    started = time.monotonic()
    done = subprocess.run(step.argv(), cwd=REPO, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        code = done.returncode if done.returncode > 0 else 128 - done.returncode
        raise StepError(step.title, step.text(), code)
    print(f"     {time.monotonic() - started:.1f} s", flush=True)
    return Run(step.title, step.text(), json.loads(done.stdout) if step.has_summary else {})


def table(runs: Sequence[Run]) -> str:
    """The runs in a few lines."""
    head = f"{'':<30}{'pictures':>9}{'per s':>8}{'encode':>9}{'decode':>9}{'memory':>9}"
    return "\n".join([head, *(_line(run.title, run.summary) for run in runs if run.summary)])


def _line(title: str, summary: Mapping[str, Any]) -> str:
    encode, decode = (summary["stages"][s]["p50_ms"] for s in ("encode", "decode"))
    return (
        f"{title:<30}{summary['results']:>9}{summary['fps']:>8.1f}{encode:>6.0f} ms"
        f"{decode:>6.0f} ms{summary['peak_memory_mib']:>5.0f} MiB"
    )


def closing(page: Path, runs: Sequence[Run], machine: Machine) -> str:
    """What is said at the end: figures, where the page is, how to open it."""
    bundle = next(run.summary["bundle"] for run in runs if run.summary)
    busy = f"; it was busy before (load {machine.load:.1f})" if machine.was_busy else ""
    return (
        f"\n{table(runs)}\n{bundle}, {machine.threads} threads, {machine.cpu}{busy}\n\n"
        f"The page: {page}\n"
        f"Open it in a browser: {page.as_uri()}\n"
        f"From another machine: python3 -m http.server 8000 -d {shlex.quote(str(page.parent))}"
        f", then http://{socket.gethostname()}:8000/"
    )


def run_demo(out: Path, *, quick: bool) -> int:
    """Run all steps and write the page; returns the exit code."""
    import facts
    import page

    when, started, machine = time.strftime("%Y-%m-%d at %H:%M"), time.monotonic(), facts.machine()
    todo = steps(out, quick=quick)
    try:
        out.mkdir(parents=True, exist_ok=True)
        runs = [run_step(step, f"{i}/{len(todo)}") for i, step in enumerate(todo, 1)]
        written = page.write(page.Made(out), runs, machine, when)
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {out}: cannot be written: {error.strerror or error}.", file=sys.stderr)
        return 1
    print(closing(written, runs, machine))
    print(f"Done in {time.monotonic() - started:.0f} s.")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo from the command line."""
    p = argparse.ArgumentParser(description="Cut objects out of photos and a clip; make a page.")
    p.add_argument("--out", type=Path, default=Path("out/demo"), help="default: out/demo")
    p.add_argument("--quick", action="store_true", help="a short clip, and less of everything mode")
    args = p.parse_args(argv)
    if importlib.util.find_spec("edgesam_rt") is None:
        print(
            f"error: edgesam_rt is not installed for {sys.executable}. Run `make demo`, which sets "
            "everything up, or `pip install -e .` first.",
            file=sys.stderr,
        )
        return MISSING
    try:
        return run_demo(args.out.expanduser().resolve(), quick=args.quick)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
