"""`edgesam-bench`: measure this board; compare reports; make a page of them."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType

import edgesam_rt
from edgesam_rt.bench import report as reports
from edgesam_rt.bench.compare import compare, other_machine
from edgesam_rt.bench.html import page
from edgesam_rt.bench.plan import Request
from edgesam_rt.bench.run import Run
from edgesam_rt.bench.text import show, show_comparison
from edgesam_rt.cli import bench_arguments as arguments
from edgesam_rt.cli.exits import run_command
from edgesam_rt.cli.memory import limit_arenas
from edgesam_rt.errors import ConfigError, EdgeSamError

DIFFERS = 1  # exit code of `compare`


class _Stopped(BaseException):
    """A signal asks for the end; not an Exception, so that nothing in between swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _measure(args: argparse.Namespace) -> int:
    if args.out is not None:
        reports.check_place(args.out)
    run = Run(
        Request(
            board=args.board,
            bundle=args.bundle,
            backend=args.backend,
            sides=args.encoder_side,
            threads=args.threads,
            pinned=args.pin,
            quick=args.quick,
            data=args.data,
            photos=args.photos,
        )
    )
    code = 0
    try:
        with _signals(), _progress(quiet=args.quiet) as progress:
            run.measure(progress)
    except _Stopped as stopped:
        code = 128 + stopped.number
    finally:
        _save(run, args)
    return code


def _save(run: Run, args: argparse.Namespace) -> None:
    """Write what was measured; if the file cannot be written, the report goes to stdout."""
    if not run.found.values:
        sys.stderr.write("nothing was measured; no report.\n")
        return
    made = run.report()
    if not made.complete:
        sys.stderr.write("stopped; the report has what was measured so far.\n")
    if args.out is None:
        sys.stdout.write(reports.encode(made).decode() if args.json else show(made))
        return
    try:
        reports.write(made, args.out)
    except EdgeSamError:
        sys.stdout.write(reports.encode(made).decode())
        sys.stderr.write("the report went to stdout instead.\n")
        raise
    sys.stdout.write(reports.encode(made).decode() if args.json else show(made))
    if not args.quiet:
        sys.stderr.write(f"report: {args.out}\n")


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the run; a second one ends the process."""
    before: dict[int, object] = {}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        for n in before:
            signal.signal(n, signal.SIG_DFL)
        raise _Stopped(number)

    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[which] = signal.signal(which, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar where stderr is a terminal, lines elsewhere."""
    from tqdm import tqdm

    if quiet or not sys.stderr.isatty():
        yield (lambda name, done, total: None) if quiet else _say
        return
    with tqdm(unit="step", file=sys.stderr, leave=False) as bar:

        def show_bar(name: str, done: int, total: int) -> None:
            bar.total = total or None
            bar.n = done
            bar.set_description_str(name)

        yield show_bar


def _say(name: str, done: int, total: int) -> None:
    sys.stderr.write(f"{name} ({done} of {total})\n" if total else f"{name}\n")
    sys.stderr.flush()


def _compare(args: argparse.Namespace) -> int:
    a, b = reports.read(args.a), reports.read(args.b)
    others = other_machine(a, b)
    if others and not args.force:
        raise ConfigError(
            f"{args.a} and {args.b} are not from the same machine: {'; '.join(others)}. "
            "Figures of different machines tell nothing about a change; --force compares anyway."
        )
    found = compare(a, b)
    if args.json:
        sys.stdout.write(json.dumps({**asdict(found), "other_machine": others}, indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"other machine: {o}\n" for o in others) + show_comparison(found))
    return DIFFERS if found.differing else 0


def _report(args: argparse.Namespace) -> int:
    reports.check_place(args.out)
    read = [(path.stem, reports.read(path)) for path in args.files]
    reports.save(page(read).encode(), args.out)
    return 0


def _schema(args: argparse.Namespace) -> int:
    sys.stdout.write(reports.json_schema().decode())
    return 0


Command = tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]
COMMANDS: dict[str, Command] = {
    "compare": (arguments.compare_parser, _compare),
    "report": (arguments.report_parser, _report),
    "schema": (arguments.schema_parser, _schema),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    limit_arenas()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        parser, command = COMMANDS[words[0]]
        args = parser().parse_args(words[1:])
    else:
        args = arguments.run_parser(edgesam_rt.__version__).parse_args(words)
        command = _measure
    return run_command(lambda: command(args))


if __name__ == "__main__":
    sys.exit(main())
