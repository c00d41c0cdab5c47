"""What an attack on the HTTP server did to the pipeline, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import interval, markdown

_ALONE_AND_ATTACKED = ("alone_ms", "attacked_ms")


def make(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the table's name and text."""
    head = [
        "attack",
        "clients",
        "alone p50 / p95, ms",
        "attacked p50 / p95, ms",
        "p95 ratio, median of turns (95 % interval)",
    ]
    rows = []
    for row in figures["attacks"]:
        pairs = [f"{row[key]['p50']:.1f} / {row[key]['p95']:.1f}" for key in _ALONE_AND_ATTACKED]
        rows.append([row["attack"], row["clients"] or "", *pairs, interval(row["p95_ratio"])])
    yield "http-attack", markdown(head, rows)
