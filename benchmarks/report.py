"""Benchmark results as files: one JSON per run, Markdown tables from them.

`python -m benchmarks.report FILES…` prints the tables; `--update README.md` replaces what stands
between `<!-- bench:NAME -->` and `<!-- /bench -->`, so that no figure is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import environment
from edgesam_rt.bench.environment import Neighbours, without_option
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError, unknown_name

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """One run of one benchmark.

    Attributes:
        case: "accuracy", "speed", "pipeline".
        command: what was typed.
        environment: see `environment.collect`; taken before the run. `others_cpu_share`: of all
            cores, what other processes used while it ran; far from 0, times mean little.
        parameters: what the run was told.
        figures: what it found; the shape is the case's own.
        schema: of the file.
    """

    case: str
    command: str
    environment: Mapping[str, Any]
    parameters: Mapping[str, Any]
    figures: Mapping[str, Any]
    schema: int = SCHEMA


class Recorder:
    """Notes where and when a run begins, and makes its report at the end."""

    def __init__(self, case: str, module: str, args: argparse.Namespace, **more: object) -> None:
        """Begin.

        Args:
            case: see Report.
            module: what was started by `python -m`.
            args: what it was told; `args.json` is where the report goes, or None.
            more: what else to note of the environment.
        """
        self._case, self._path = case, args.json
        self._command = " ".join(["python", "-m", module, *without_option(sys.argv[1:], "--json")])
        self._environment = {**environment.collect(), **more}
        self._parameters = {k: _plain(v) for k, v in vars(args).items() if k != "json"}
        self._neighbours = Neighbours()

    def finish(self, figures: Mapping[str, Any]) -> Report:
        """Write the report if a file was named, and print its tables."""
        around = {**self._environment, "others_cpu_share": self._neighbours.share()}
        made = Report(self._case, self._command, around, self._parameters, figures)
        if self._path is not None:
            write(made, self._path)
        sys.stdout.write(show([made]))
        return made


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def write(report: Report, path: Path) -> None:
    """Write a report's JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    """Read a report's JSON file.

    Raises:
        ConfigError: it is none, or of another schema.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        report = Report(**raw)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a benchmark's result: {error}.") from error
    if report.schema != SCHEMA:
        raise ConfigError(f"{path}: schema {report.schema!r}, this reader knows {SCHEMA}.")
    return report


def show(reports: Sequence[Report]) -> str:
    """All tables of some reports, one after the other."""
    from benchmarks import tables

    return "\n".join(text for _, text in sorted(tables.make(reports).items()))


def fill(text: str, tables: Mapping[str, str], kind: str = "bench") -> str:
    """Put tables between the markers of a Markdown text, `<!-- KIND:NAME -->` and `<!-- /KIND -->`.

    Raises:
        ConfigError: a marker names a table that is not there.
    """

    def table(found: re.Match[str]) -> str:
        if found["name"] not in tables:
            raise ConfigError(unknown_name("table", found["name"], tables))
        return f"{found[1]}{tables[found['name']]}{found[3]}"

    marked = rf"(<!-- {kind}:(?P<name>[\w-]+) -->\n).*?(<!-- /{kind} -->)"
    return re.sub(marked, table, text, flags=re.DOTALL)


def _run(args: argparse.Namespace) -> int:
    from benchmarks import tables

    reports = [read(path) for path in args.files]
    if args.update is None:
        sys.stdout.write(show(reports))
    else:
        old = args.update.read_text(encoding="utf-8")
        args.update.write_text(fill(old, tables.make(reports)), encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    p.add_argument("files", nargs="+", type=Path, help="results: benchmarks/results/*.json")
    p.add_argument("--update", type=Path, metavar="FILE.md", help="put the tables into this file")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
