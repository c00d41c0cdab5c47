"""The limit as Markdown tables; `benchmarks.tables` knows them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.markdown import markdown

Row = Mapping[str, Any]


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """All tables of one run."""
    yield "limit-machine", _machine(figures["machine"])
    yield "limit-engines", _engines(figures["engines"])
    for threads in sorted({row["threads"] for row in figures["engines"]}):
        rows = [row for row in figures["engines"] if row["threads"] == threads]
        yield f"limit-kinds-{threads}", _kinds(rows)
    yield "limit-worst", _worst(figures["engines"])


def _machine(found: Sequence[Row]) -> str:
    head = ["at best, 1e9 multiply-adds per s", *(_threads(row) for row in found)]
    names = [(p, op) for p, ops in found[0]["gmacs_per_s"].items() for op in ops]
    rows = [
        [f"{p}, {op}", *(f"{row['gmacs_per_s'][p][op]:.0f}" for row in found)] for p, op in names
    ]
    for i, (size, _) in enumerate(found[0]["bandwidth"]):
        rates = (f"{row['bandwidth'][i][1]:.0f}" for row in found)
        rows.append([f"copying, GB/s, {size / 2**20:g} MiB at a time", *rates])
    return markdown(head, rows)


def _engines(found: Sequence[Row]) -> str:
    head = ["encoder", "MMAC", "MB moved", "run p50 (min), ms", "nodes, ms", "possible, ms"]
    head += ["share of the possible", "1e9 MAC/s"]
    rows = []
    for row in found:
        sums, run = row["all"], row["run_ms"]
        label = f"{row['precision']}, side {row['side']}, {_threads(row)}"
        times = f"{run['p50']:.1f} ({run['min']:.1f})"
        rate = sums["mmacs"] / sums["ms"]
        cells = [f"{sums['mmacs']:,.0f}", f"{sums['mbytes']:.0f}", times]
        cells += [f"{sums['ms']:.1f}", f"{sums['possible_ms']:.1f}", _percent(sums["share"])]
        rows.append([label, *cells, f"{rate:.0f}"])
    return markdown(head, rows)


def _kinds(found: Sequence[Row]) -> str:
    """One table for one number of threads: every engine's kinds, what loses most first."""
    head = ["encoder: kind of layer", "nodes", "MMAC", "MB", "ms", "part", "possible, ms"]
    head += ["share of the possible", "lost, ms", "1e9 MAC/s"]
    rows = []
    for row in found:
        for kind in row["kinds"]:
            label = f"{row['precision']} {row['side']}: {kind['kind']}"
            work = [kind["nodes"], f"{kind['mmacs']:.0f}", f"{kind['mbytes']:.1f}"]
            part = _percent(kind["ms"] / row["all"]["ms"])
            times = [f"{kind['ms']:.2f}", part, f"{kind['possible_ms']:.2f}"]
            cells = [*work, *times, _percent(kind["share"]), f"{kind['lost_ms']:.2f}"]
            rate = f"{kind['mmacs'] / kind['ms']:.0f}" if kind["mmacs"] else ""
            rows.append([label, *cells, rate])
    return markdown(head, rows)


def _worst(found: Sequence[Row]) -> str:
    """The nodes of the first engine that lose most."""
    first = found[0]
    head = [f"{first['precision']} {first['side']}, {_threads(first)}: node", "kind", "MMAC", "MB"]
    head += ["ms", "possible, ms", "share of the possible"]
    rows = [
        [
            f"`{row['name']}`",
            row["kind"],
            f"{row['mmacs']:.1f}",
            f"{row['mbytes']:.2f}",
            f"{row['ms']:.2f}",
            f"{row['possible_ms']:.2f}",
            _percent(row["share"]),
        ]
        for row in first["worst"]
    ]
    return markdown(head, rows)


def _threads(row: Row) -> str:
    return "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
