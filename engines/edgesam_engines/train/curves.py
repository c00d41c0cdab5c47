"""Curves of a run as one SVG, drawn from its journal without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from edgesam_engines.train.checkpoint import replace_bytes
from edgesam_engines.train.journal import read_journal

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 760, 220, 56, 34, 56
_COLOURS = ("#0b6e99", "#c1502e", "#4f7942", "#8a4f9e", "#8c6d1f", "#555555")
_PANELS = (
    ("Loss of the step", "step", ("loss",)),
    ("IoU in training, at low resolution", "step", ("box", "point", "point_best", "clicks")),
    ("Validation mIoU, averaged weights", "validation", ("box", "point", "point_best", "clicks3")),
    ("Predicted IoU, validation", "validation", ("iou_error", "calibration_error")),
    ("Learning rate", "step", ("lr",)),
)
Points = list[tuple[float, float]]


def draw_curves(journal: Path, target: Path) -> None:
    """Write the SVG; panels without records are left out."""
    records = read_journal(journal)
    panels = []
    for title, kind, names in _PANELS:
        lines = [(n, _points(records, kind, n)) for n in names]
        lines = [(n, p) for n, p in lines if len(p) > 1]
        if lines:
            panels.append((title, lines))
    high = len(panels) * (_HEIGHT + _GAP) + _TOP
    body = "".join(
        _panel(title, lines, _TOP + i * (_HEIGHT + _GAP)) for i, (title, lines) in enumerate(panels)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 160}" height="{high}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{body}</svg>\n"
    )
    replace_bytes(target, svg.encode())


def _points(records: Sequence[dict[str, Any]], kind: str, name: str) -> Points:
    """(step, value), of a step recorded twice (before and after a resume) only the later one."""
    found = {r["step"]: float(r[name]) for r in records if r.get("kind") == kind and name in r}
    return sorted(found.items())


def _panel(title: str, lines: list[tuple[str, Points]], top: int) -> str:
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    width, height = max(x1 - x0, 1), max(y1 - y0, 1e-9)

    def place(x: float, y: float) -> str:
        px = _LEFT + (x - x0) / width * (_WIDTH - _LEFT)
        return f"{px:.1f},{top + _HEIGHT - (y - y0) / height * _HEIGHT:.1f}"

    frame = (
        f'<text x="{_LEFT}" y="{top - 10}" font-weight="bold">{escape(title)}</text>'
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT}" height="{_HEIGHT}" '
        'fill="none" stroke="#bbb"/>'
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{y1:.3g}</text>'
        f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">{y0:.3g}</text>'
        f'<text x="{_LEFT}" y="{top + _HEIGHT + 16}">step {x0:.0f}</text>'
        f'<text x="{_WIDTH}" y="{top + _HEIGHT + 16}" text-anchor="end">{x1:.0f}</text>'
    )
    parts = [frame]
    for i, (name, points) in enumerate(lines):
        colour = _COLOURS[i % len(_COLOURS)]
        path = " ".join(place(x, y) for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        label = f"{escape(name)} {points[-1][1]:.3g}"
        parts.append(
            f'<text x="{_WIDTH + 8}" y="{top + 14 + 16 * i}" fill="{colour}">{label}</text>'
        )
    return "".join(parts)
