"""Everything mode as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.markdown import markdown

Row = Mapping[str, Any]
_HERE = "coco-val, this machine"
_THERE = "LVIS, the authors' GPU, its own weights: published, not comparable"


class Published(NamedTuple):
    """A row of the MobileSAMv2 paper: AR@1000 in points, time of prompting alone."""

    what: str
    ar1000: float
    by_size: tuple[float, float, float] | None
    ms: int | None


# Source: Zhang et al. 2023, "MobileSAMv2: Faster Segment Anything to Everything".
PUBLISHED = (
    Published("MobileSAMv2, grid 64x64", 59.2, (46.6, 78.7, 82.4), 6464),
    Published("MobileSAMv2, objects, at most 320 boxes", 59.3, (47.9, 77.1, 79.9), 97),
    Published("MobileSAMv2, objects, 64 boxes", 44.8, None, None),
    Published("MobileSAMv2, grid of 256 points", 34.6, None, None),
    Published("FastSAM", 49.6, None, None),
)


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """A table for each part that was measured."""
    for part, maker in MAKERS.items():
        found = figures.get(part)
        if found is not None:
            yield f"everything-{part}", maker(found) + _unknown(found)


def _unknown(found: Row) -> str:
    absent = found.get("unknown") or {}
    if not absent:
        return ""
    return f"\nNot measured, this runtime does not know them: {', '.join(absent)}.\n"


def _oracle(found: Row) -> str:
    ms, plain, ratio = found["ms"], found["plain_ms"], found["times_faster"]
    head = [f"{found['photos']} photos", "masks", "ms per photo, p50", "p95"]
    rows: list[list[object]] = [
        [
            "SAM's generator, plainly",
            found["plain_masks"],
            f"{plain['p50']:.0f}",
            f"{plain['p95']:.0f}",
        ],
        [
            "grid",
            found["matched"] + found["extra"],
            f"{ms['p50']:.0f}",
            f"{ms['p95']:.0f}",
        ],
    ]
    text = markdown(head, rows)
    return text + (
        f"\n{found['matched']} match at IoU {found['iou']:g} or more, {found['missing']} missing, "
        f"{found['extra']} extra. {ratio['p50']:.1f} times faster (least {ratio['min']:.1f}).\n"
    )


def _times(found: Row) -> str:
    head = ["640x480, ms", "p50", "p95", "p99", "to the encoder", "to grid", "with runs", "masks"]
    rows = []
    for row in found["rows"]:
        threads = "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"
        cells = [f"{row['what']}, {threads}"]
        cells += [f"{row['ms'][k]:.1f}" for k in ("p50", "p95", "p99")]
        cells += [f"{row['times_encoder']:.2f}x", _or_not(row, "times_grid", "{:.2f}x")]
        runs = row.get("with_runs_ms")
        cells += ["" if runs is None else f"{runs['p50']:.1f}", str(row.get("masks", ""))]
        rows.append(cells)
    return markdown(head, rows)


def _recall(found: Row) -> str:
    head = ["average recall", "AR@10", "AR@100", "AR@1000", "small", "medium", "large"]
    head += ["masks per photo", "seconds per photo", "data and hardware"]
    sizes = ("small", "medium", "large")
    rows: list[Sequence[object]] = []
    for row in found["rows"]:
        keys = ["ar10", "ar100", "ar1000", *(f"ar1000_{size}" for size in sizes)]
        cells = [row["strategy"], *(_points(row[key]) for key in keys)]
        cells += [f"{row['masks_per_photo']:.0f}", f"{row['seconds_per_photo']:.3f}", _HERE]
        rows.append(cells)
    for one in PUBLISHED:
        by_size = [""] * 3 if one.by_size is None else [f"{v:.1f}" for v in one.by_size]
        seconds = "" if one.ms is None else f"{one.ms / 1000:.3f}, without its encoder"
        rows.append(
            [f"*{one.what}*", "", "", f"{one.ar1000:.1f}", *by_size, "", seconds, f"*{_THERE}*"]
        )
    return markdown(head, rows)


def _deadlines(found: Row) -> str:
    head = ["strategy, share of its full time", "AR@100", "masks per photo", "done"]
    head += ["late, ms, p50", "p99", "most"]
    rows = []
    for row in found["rows"]:
        cells = [f"{row['strategy']}, {100 * row['share']:.0f} %", _points(row["ar100"])]
        cells += [f"{row['masks_per_photo']:.0f}"]
        if "late_ms" in row:
            cells += [f"{100 * row['completeness']:.0f} %"]
            cells += [f"{row['late_ms'][k]:.1f}" for k in ("p50", "p99", "max")]
        else:
            cells += ["100 %", "", "", ""]
        rows.append(cells)
    return markdown(head, rows)


def _memory(found: Row) -> str:
    n = found["points_per_side"]
    head = [f"peak memory, MiB, {n}x{n} points", "engines and encoder", "masks found"]
    head += ["with runs", "masks", "ms, once"]
    rows = []
    for row in found["rows"]:
        name = f"{row['picture']}, {row['strategy']}"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}", "", "", "", ""])
        elif row["strategy"] != "encoder":
            cells = [f"{row[k]:.0f}" for k in ("before_mib", "peak_mib", "peak_with_runs_mib")]
            rows.append([name, *cells, str(row["masks"]), f"{row['ms']:.0f}"])
    return markdown(head, rows)


def _points(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _or_not(row: Row, key: str, form: str) -> str:
    return form.format(row[key]) if key in row else ""


MAKERS: Mapping[str, Callable[[Row], str]] = {
    "oracle": _oracle,
    "times": _times,
    "recall": _recall,
    "deadlines": _deadlines,
    "memory": _memory,
}
