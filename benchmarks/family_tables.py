"""Tables of the published families: one row a family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import markdown

Row = Mapping[str, Any]


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """Times, what stays float, and the quality that the INT8 build found."""
    rows = figures["families"]
    yield "families", _times(rows, figures["threads"])
    integer = {name: row for name, row in rows.items() if "kernels" in row}
    if integer:
        yield "families-float", _kernels(integer)
        yield "families-quality", _quality(integer)


def _times(rows: Row, threads: int) -> str:
    head = [f"encoder, ms, {threads} threads, least of n", "upstream's export", "FP32", "INT8"]
    lines = []
    for name, row in rows.items():
        ms = {what: f"{found['min']:.0f}" for what, found in row["ms"].items()}
        cells = [ms.get(what, "") for what in ("upstream", "fp32", "int8")]
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        lines.append([name, *cells, ratio, row["ms"]["fp32"]["n"]])
    return markdown([*head, "FP32 / INT8", "n"], lines)


def _kernels(rows: Row) -> str:
    head = ["INT8 encoder, ms by kernels", "integer", "float", "conversions", "moves"]
    lines = []
    for name, row in rows.items():
        ms = row["kernels"]["ms"]
        cells = [f"{ms[kind]:.0f}" for kind in ("integer", "float", "conversion", "move")]
        ops = ", ".join(f"{n} {op}" for op, n in row["kernels"]["float_operations"].items())
        lines.append([name, *cells, row["kernels"]["integer_operations"], ops])
    return markdown([*head, "integer kernels", "float kernels"], lines)


def _quality(rows: Row) -> str:
    head = ["INT8 beside float torch", "photos", "prompts", "embedding cosine", "mask IoU"]
    lines = []
    for name, row in rows.items():
        found = row["quality"]
        cosine = next(iter(found["cosine"].values()))
        told = [f"{found[k]['mean_iou']:.4f}" if k in found else "" for k in ("by_point", "by_box")]
        cells = [found["photos"], found["prompts"], f"{cosine:.5f}", f"{found['mean_iou']:.4f}"]
        lines.append([name, *cells, *told])
    return markdown([*head, "points", "boxes"], lines)
