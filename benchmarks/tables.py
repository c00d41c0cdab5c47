"""Reports as Markdown tables, by the names that README's markers use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks import family_tables, http_tables, overlap_tables
from benchmarks.arm import tables as arm
from benchmarks.budget import tables as budget
from benchmarks.everything import tables as everything
from benchmarks.limit import tables as limit
from benchmarks.markdown import markdown
from benchmarks.report import Report
from benchmarks.soak import tables as soak
from edgesam_rt.bench.protocols import SIZES

Row = Mapping[str, Any]


def make(reports: Sequence[Report]) -> dict[str, str]:
    """All tables that these reports give, by name; of two reports of a case the later counts.

    A case without tables (the factory's `ptq`, which docs/quantization.md shows) gives none.
    """
    out: dict[str, str] = {}
    for report in reports:
        for name, text in MAKERS.get(report.case, _nothing)(report.figures):
            out[name] = f"{text}\n{where(report)}\n"
    return out


def where(report: Report) -> str:
    """The line below a table: command, machine, load, versions."""
    e = report.environment
    flags = ", ".join(e["cpu_flags"]) or "none of the known flags"
    load = f"load {e['load_average'][0]:g} at the start"
    others = e.get("others_cpu_share")
    load += "" if others is None else f", {100 * others:.0f} % of the cores used by others"
    packages = [f"onnxruntime {e['onnxruntime']}"]
    packages += [f"torch {e['torch']}"] if "torch" in e else []
    packages += [f"ai-edge-litert {e['ai_edge_litert']}"] if "ai_edge_litert" in e else []
    return (
        f"`{report.command}`: {e['cpu']} ({flags}), {e['cores_usable']} cores, {load}, "
        f"Python {e['python']}, {', '.join(packages)}, commit {e['git_commit']}, {e['date'][:10]}."
    )


def _nothing(_figures: Row) -> Iterator[tuple[str, str]]:
    yield from ()


def _accuracy(figures: Row) -> Iterator[tuple[str, str]]:
    yield _accuracy_table("accuracy", figures)
    yield _by_size("accuracy-by-size", figures)


def _accuracy_clips(figures: Row) -> Iterator[tuple[str, str]]:
    yield _accuracy_table("accuracy-clips", figures)


def _accuracy_torch(figures: Row) -> Iterator[tuple[str, str]]:
    yield _accuracy_table("accuracy-torch", figures)


def _accuracy_table(name: str, figures: Row) -> tuple[str, str]:
    n = f"{figures['objects']:,} objects on {figures['photos']} photos"
    head = [
        f"mIoU, {n}",
        "box",
        "point",
        "best candidate",
        "3 clicks",
        "error of the score",
        "calibration error",
    ]
    rows = []
    for row in figures["rows"]:
        means = row["miou"]["all"]
        cells = [row["name"], *(_with_difference(row, m) for m in ("box", "point"))]
        cells += [f"{100 * means['point_best']:.1f}", _with_difference(row, "clicks")]
        errors = (f"{100 * means[k]:.1f}" for k in ("score_error", "calibration_error"))
        rows.append([*cells, *errors])
    return name, markdown(head, rows)


def _with_difference(row: Row, measure: str) -> str:
    mean = f"{100 * row['miou']['all'][measure]:.1f}"
    if "difference" not in row:
        return mean
    found = row["difference"][measure]
    return f"{mean} ({found['points']:+.2f} ± {found['standard_error']:.2f})"


def _by_size(name: str, figures: Row) -> tuple[str, str]:
    head = ["mIoU by size", "objects", "box", "point", "best candidate", "3 clicks"]
    rows = []
    for row in figures["rows"]:
        for size in list(SIZES)[1:]:
            means = row["miou"][size]
            keys = ("box", "point", "point_best", "clicks")
            cells = [f"{100 * means[k]:.1f}" if k in means else "" for k in keys]
            rows.append([f"{row['name']}, {size}", means["objects"], *cells])
    return name, markdown(head, rows)


def _speed(figures: Row) -> Iterator[tuple[str, str]]:
    if figures["encoder"]:
        yield "speed-encoder", _encoder(figures["encoder"])
    yield "speed-decoder", _decoder(figures["decoder"])
    yield "overhead", _overhead(figures["overhead"])
    if "chunks" in figures:
        keys = ("each_ms", "each_ms_min")
        rows = [[row["set"], *(f"{row[k]:.3f}" for k in keys)] for row in figures["chunks"]]
        yield "chunks", markdown(["256 points, 1 thread", "each, p50, ms", "min, ms"], rows)


def _encoder(found: Sequence[Row]) -> str:
    head = ["encoder, ms", "float p50 (min)", "INT8 p50 (min)", "ratio of p50", "of min", "n"]
    rows = []
    for row in found:
        times = [row[k]["engine_ms"] for k in ("float", "int8")]
        both = [f"{t['p50']:.1f} ({t['min']:.1f})" for t in times]
        label = f"side {row['side']}, {_threads(row['threads'])}"
        ratios = [f"{row[k]:.2f}" for k in ("ratio_p50", "ratio_min")]
        rows.append([label, *both, *ratios, times[0]["n"]])
    return markdown(head, rows)


def _threads(n: object) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _decoder(found: Sequence[Row]) -> str:
    head = ["point prompts in one call", "p50", "p95", "p99", "each", "scorer", "mask head"]
    rows = []
    for row in found:
        wall = row["wall_ms"]
        cells = [f"{wall[k]:.2f}" for k in ("p50", "p95", "p99")] + [f"{row['each_ms']:.2f}"]
        cells += [f"{row[k]['p50']:.2f}" if k in row else "" for k in ("scorer_ms", "mask_head_ms")]
        rows.append([f"{row['prompts']} (n = {wall['n']})", *cells])
    return markdown([*head[:1], *(f"{h}, ms" for h in head[1:])], rows)


def _overhead(found: Row) -> str:
    n = found["total"]["n"]
    head = [f"640x480, one point, 1 thread (n = {n})", "p50, ms", "p95, ms", "p99, ms"]
    rows = [[k, *(f"{row[p]:.2f}" for p in ("p50", "p95", "p99"))] for k, row in found.items()]
    return markdown(head, rows)


def _pipeline(figures: Row) -> Iterator[tuple[str, str]]:
    head = ["clip", "frames", "fps", "slowest thread allows", "ratio", "age p50 / p95 / p99, ms"]
    head += ["peak memory, MiB", "first result, s"]
    rows = []
    for row in figures["runs"]:
        age = row["stages"]["age"]
        ages = " / ".join(f"{age[k]:.0f}" for k in ("p50_ms", "p95_ms", "p99_ms"))
        allowed = f"{row['allowed_fps']:.1f} ({row['slowest_thread']})"
        cells = [row["clip"], row["results"], f"{row['fps']:.1f}", allowed, f"{row['ratio']:.2f}"]
        rows.append([*cells, ages, f"{row['peak_memory_mib']:.0f}", f"{row['first_result_s']:.2f}"])
    yield "pipeline", markdown(head, rows)
    yield "pipeline-stages", _stages(figures["runs"])
    yield "import", _imports(figures)


def _stages(runs: Sequence[Row]) -> str:
    rows = [
        [f"{row['clip']}: {name}", times["n"], *(f"{times[f'{p}_ms']:.2f}" for p in _PERCENTILES)]
        for row in runs
        for name, times in row["stages"].items()
    ]
    return markdown(["stage, ms", "n", *_PERCENTILES], rows)


_PERCENTILES = ("p50", "p95", "p99")


def _imports(figures: Row) -> str:
    head = ["beyond numpy, fresh interpreter", "median, ms", "min, ms", "n", "heavy modules"]
    labels = {"import": "`import edgesam_rt`", "import_and_use": "and its `open` and `Prompt`"}
    rows = []
    for key, label in labels.items():
        row = figures[key]
        heavy = ", ".join(row["heavy_modules"]) or "none"
        rows.append([label, f"{row['median_ms']:.1f}", f"{row['min_ms']:.1f}", row["n"], heavy])
    return markdown(head, rows)


def _backends(figures: Row) -> Iterator[tuple[str, str]]:
    head = [
        "precision, side",
        "threads",
        "backend",
        "encoder, ms",
        "one point, ms",
        "64 points, ms",
    ]
    rows = []
    for made in figures["bundles"]:
        for row in made["speed"]:
            times = [f"{row[k]['p50']:.1f} / {row[k]['p95']:.1f}" for k in _BACKEND_WORKS]
            of = f"{made['precision']} {row['side']}"
            rows.append([of, row["threads"], row["backend"], *times])
    yield "backends", markdown(head, rows)
    head = ["precision, side", "photos", "prompts", "mean IoU", "10th percentile", "worst"]
    rows = [
        [
            f"{made['precision']} {row['side']}",
            *(row[k] for k in ("photos", "prompts")),
            *(f"{row[k]:.4f}" for k in ("mean_iou", "p10_iou", "worst_iou")),
        ]
        for made in figures["bundles"]
        for row in made["agreement"]
    ]
    yield "backends-agreement", markdown(head, rows)


_BACKEND_WORKS = ("encoder", "point", "points")


def _tracking(figures: Row) -> Iterator[tuple[str, str]]:
    ways = list(figures["mean_j"])
    rows = [
        [row["clip"], row["frames"], *(f"{100 * row['ways'][w]['j']:.1f}" for w in ways)]
        for row in figures["clips"]
    ]
    means = [f"{100 * figures['mean_j'][w]:.1f}" for w in ways]
    yield "tracking", markdown(["J", "frames", *ways], [*rows, ["mean", "", *means]])
    head = ["objects", "seen, mean", "p50, ms", "p95, ms"]
    times = [
        [row["objects"], row["seen"], *(f"{row['wall_ms'][p]:.1f}" for p in ("p50", "p95"))]
        for row in figures["times"]
    ]
    yield "tracking-times", markdown(head, times)


MAKERS: dict[str, Callable[[Row], Iterator[tuple[str, str]]]] = {
    "arm-proof": arm.make,
    "accuracy": _accuracy,
    "accuracy-clips": _accuracy_clips,
    "accuracy-torch": _accuracy_torch,
    "backends": _backends,
    "budget-everything": budget.make,
    "budget-prompt": budget.make,
    "budget-track": budget.make,
    "everything": everything.make,
    "families": family_tables.make,
    "http-attack": http_tables.make,
    "soak": soak.make,
    "speed": _speed,
    "overlap": overlap_tables.make,
    "pipeline": _pipeline,
    "limit": limit.make,
    "tracking": _tracking,
}
