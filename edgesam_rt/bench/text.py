"""Reports and comparisons as text for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgesam_rt.bench.compare import Comparison, Line, name_of, noise
from edgesam_rt.bench.report import Report

HEAD = ("", "n", "p50", "p95", "p99", "noise")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out columns, the first to the left, the others to the right; ends with a newline."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [f"{c:>{w}}" for c, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(lines) + "\n"


def show(report: Report) -> str:
    """The figures, and what makes them doubtful."""
    m = report.machine
    rows: list[Sequence[str]] = [HEAD]
    for s in report.series:
        values = [f"{v:.4g}" for v in (s.p50, s.p95, s.p99)]
        unit = f"{s.unit}" + ("" if s.better == "lower" else " (more is better)")
        rows.append((f"{name_of(s)}, {unit}", str(s.n), *values, f"{100 * noise(s):.0f} %"))
    energy = report.energy
    told = energy.source or f"not available ({energy.reason})"
    idle = "" if energy.idle_w is None else f", {energy.idle_w:.2f} W idle"
    lines = [
        f"{m.model or m.arch}, {m.cpu}, {m.cores} cores, board {m.board}",
        f"{report.engines.bundle}, {report.engines.backend} "
        f"{report.software.get(report.engines.backend, '')}".rstrip(),
        f"energy: {told}{idle}",
        *_accuracy(report),
        *(f"warning: {w}" for w in report.warnings),
    ]
    return table(rows) + "\n" + "\n".join(lines) + "\n"


def _accuracy(report: Report) -> list[str]:
    found = report.accuracy
    if found is None:
        return []
    lines = []
    for side, sizes in found.miou.items():
        means = ", ".join(f"{k} {100 * v:.1f}" for k, v in sizes["all"].items() if k != "objects")
        lines.append(f"mIoU at side {side}: {means} ({found.objects} objects)")
    return lines


def show_comparison(found: Comparison) -> str:
    """Every figure of both, then what differs."""
    rows: list[Sequence[str]] = [("", "A", "B", "change", "band", "B is")]
    rows += [_cells(line) for line in found.lines]
    lines = [f"note: {note}" for note in found.notes]
    lines += [f"only in A: {name}" for name in found.only_a]
    lines += [f"only in B: {name}" for name in found.only_b]
    beyond = found.differing
    count = f"{len(beyond)} of {len(found.lines)} figures differ beyond their band"
    kinds = Counter(line.verdict for line in beyond)
    names = ", ".join(f"{n} {verdict}" for verdict, n in kinds.items())
    return (
        table(rows) + "\n" + "\n".join([*lines, f"{count}{': ' if names else ''}{names}."]) + "\n"
    )


def _cells(line: Line) -> tuple[str, ...]:
    percent = line.unit != "points"
    change = f"{100 * line.change:+.1f} %" if percent else f"{line.change:+.2f}"
    band = f"{100 * line.band:.0f} %" if percent else f"{line.band:g}"
    verdict = "" if line.verdict == "same" else line.verdict
    return f"{line.name}, {line.unit}", f"{line.a:.4g}", f"{line.b:.4g}", change, band, verdict
