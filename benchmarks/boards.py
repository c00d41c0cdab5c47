"""The boards' page and table, from their data files.

`python -m benchmarks.boards` prints the table; `--update docs/boards.md README.md` replaces what
stands between `<!-- boards:NAME -->` and `<!-- /boards -->` in these files. Names: "table", and
"details" with a section for every board.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import fill
from edgesam_rt import boards
from edgesam_rt.boards import Board
from edgesam_rt.cli.exits import run_command

HEAD = ("board", "engine", "backend", "run where", "command that fills the row")
# Best known first; a board that nobody recognises is last but for phones.
ORDER = ("rpi", "jetson", "cpu", "android")


def rows() -> list[Board]:
    """All boards, as people look for them."""
    found = [boards.load(name) for name in boards.names()]
    return sorted(found, key=lambda b: (_family(b.name), b.name))


def _family(name: str) -> int:
    return next((i for i, start in enumerate(ORDER) if name.startswith(start)), len(ORDER))


def table(found: Sequence[Board]) -> str:
    """One row per board and backend."""
    lines = [_row(HEAD), _row(["---"] * len(HEAD))]
    for board in found:
        for backend, run in board.runs.items():
            first = backend == board.backends[0]
            lines.append(
                _row(
                    [
                        f"`{board.name}`: {_names(board)}" if first else "",
                        f"{board.bundle}, {board.choice.precision}" if first else "",
                        backend,
                        f"**{run.where}**: {run.what}",
                        _command(board, backend) if run.where != "hardware" else "",
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def details(found: Sequence[Board]) -> str:
    """A section per board: what it is recognised by, why it runs what it runs, and the sources."""
    return "\n".join(_section(board) for board in found)


def _section(board: Board) -> str:
    lines = [f"### {board.name}", f"{_names(board)}. {_parts(board)}".strip(), ""]
    lines += [f"- **Recognised by** {_rule(board)}."]
    lines += [f"- **Engine**: {' '.join(board.choice.why.split())}"]
    lines += [f"- **Settings**: {_settings(board)}."]
    lines += [f"- **Not here**: {caveat}" for caveat in board.caveats]
    lines += ["- **Sources**:"]
    lines += [f"  - `{key}`: {text}" for key, text in board.sources.items()]
    return "\n".join(lines) + "\n"


def _names(board: Board) -> str:
    return ", ".join([board.title, *board.covers])


def _parts(board: Board) -> str:
    parts = [board.cpu.cores] if board.cpu.cores else []
    if board.gpu is not None:
        integers = "INT8" if board.gpu.int8 else "no INT8"
        parts.append(
            f"{board.gpu.name}, compute capability {board.gpu.compute_capability}, {integers}"
        )
    return "; ".join(parts) + ("." if parts else "")


def _rule(board: Board) -> str:
    rule = board.detect
    kinds = (("model", rule.model), ("compatible", rule.compatible))
    told = [f"the device tree's {key} ({_code(lines)})" for key, lines in kinds if lines]
    told += [f"/etc/nv_tegra_release ({_code(rule.l4t)})"] if rule.l4t else []
    told += [f"a file ({_code(rule.files)})"] if rule.files else []
    return "; ".join(told) or "nothing: it is what remains"


def _settings(board: Board) -> str:
    threads = f"{board.threads} threads" if board.threads else "all cores"
    sides = ", ".join(str(side) for side in dict.fromkeys(s.encoder_side for s in board.ladder))
    budget = f"{board.budget_ms:g} ms" if board.budget_ms else "none"
    return (
        f"{threads}, spinning {'on' if board.spin else 'off'}, encoder sides {sides} px, "
        f"{len(board.ladder)} steps, budget {budget}"
    )


def _command(board: Board, backend: str) -> str:
    if board.name == "android":
        return "see docs/android.md"
    more = "" if backend == board.backends[0] else f" --backend {backend}"
    return f"`edgesam-bench --board {board.name}{more} --out {board.name}-{backend}.json`"


def _code(lines: Sequence[str]) -> str:
    return ", ".join(f"`{line}`" for line in lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def blocks() -> dict[str, str]:
    """All that can be put into a page, by name."""
    found = rows()
    return {"table": table(found), "details": details(found)}


def _run(args: argparse.Namespace) -> int:
    made = blocks()
    if not args.update:
        sys.stdout.write(made["table"])
    for path in args.update:
        old = path.read_text(encoding="utf-8")
        path.write_text(fill(old, made, "boards"), encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.boards", description=__doc__)
    p.add_argument("--update", nargs="+", type=Path, default=(), metavar="FILE.md")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
