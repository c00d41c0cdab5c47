"""The report of `benchmarks.overlap` as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import interval, markdown

Row = Mapping[str, Any]


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """Throughput and ages of `benchmarks.overlap`, and what the ladder's means cost."""
    head = ["threads", "encoder alone, ms", "allows, fps", "whole pipeline, fps"]
    head += ["ratio to it (95 % interval)", "ratio to the slowest thread in the run"]
    rows = [
        [
            row["threads"],
            f"{row['alone_ms']:.1f}",
            f"{1000 / row['alone_ms']:.1f}",
            f"{row['fps']:.1f}",
            interval(row["ratio_alone"]),
            f"{interval(row['ratio_in_run'])} ({row['slowest_in_run']})",
        ]
        for row in figures["through"]
    ]
    yield "overlap", markdown(head, rows)
    head = ["live source, fps", "mode", "results per s", "capture to result p50 / p95, ms"]
    head += ["its stages p50, ms", "ratio of p50", "p95 of ratios"]
    rows = [
        [
            f"{row['source_fps']:g}",
            row["mode"],
            f"{row['fps']:.1f}",
            f"{row['age_ms']['p50']:.1f} / {row['age_ms']['p95']:.1f}",
            f"{row['stages_ms']['p50']:.1f}",
            f"{row['ratio_p50']:.2f}",
            f"{row['ratio_p95']:.2f}",
        ]
        for row in figures["live"]
    ]
    yield "overlap-live", markdown(head, rows)
    rows = [[r["size"], f"{r['p50']:.2f}", f"{r['p95']:.2f}"] for r in figures["comparing"]]
    yield "scene", markdown(["is the scene still?", "p50, ms", "p95, ms"], rows)
    rows = [[r["side"], r["ms"], f"{r['mib']:.0f}"] for r in figures["opening"]]
    yield "opening", markdown(["one more encoder open and run", "ms", "MiB"], rows)
