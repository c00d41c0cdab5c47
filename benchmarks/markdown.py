"""Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table: first column left, the others right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def interval(found: Mapping[str, float]) -> str:
    """A median of `benchmarks.paired`, and where it lies."""
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
