"""Small plots as inline SVG: bars of parts, ranges, and lines over time.

All are 400 units wide, so that on a phone a unit is about a pixel and the text stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 400
ROW = 40  # a label and its bar
BAR = 14
RIGHT = 74  # room for the figure behind a bar
PLOT_HEIGHT = 150
# Distinct for colour-blind readers too (Okabe and Ito 2008), on light and dark ground.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a")

Parts = Sequence[tuple[str, float]]
Line = tuple[str, Sequence[tuple[float, float]]]


def colour(index: int) -> str:
    """Of the n-th thing; they repeat."""
    return COLOURS[index % len(COLOURS)]


def bars(rows: Sequence[tuple[str, Parts]], unit: str) -> str:
    """One bar per row, made of parts; the same part has the same colour in all.

    Args:
        rows: label, and its parts with their values, each at least 0.
        unit: of the values.
    """
    names = list(dict.fromkeys(name for _, parts in rows for name, _ in parts))
    most = max((sum(v for _, v in parts) for _, parts in rows), default=0) or 1
    scale = (WIDTH - RIGHT) / most
    out = []
    for i, (label, parts) in enumerate(rows):
        x, top = 0.0, i * ROW
        out.append(_text(0, top + 12, label))
        for name, value in parts:
            title = f"{name}: {value:.4g} {unit}"
            out.append(_rect(x, top + 17, value * scale, colour(names.index(name)), title))
            x += value * scale
        out.append(_text(x + 4, top + 28, f"{sum(v for _, v in parts):.4g} {unit}"))
    return _svg(len(rows) * ROW, out) + legend(names)


def ranges(rows: Sequence[tuple[str, tuple[float, float, float, float]]], unit: str) -> str:
    """One line per row from the least to p99, a box from the least to p95, a mark at p50.

    Args:
        rows: label, and min, p50, p95, p99.
        unit: of the values.
    """
    most = max((values[3] for _, values in rows), default=0) or 1
    scale = (WIDTH - RIGHT) / most
    out = []
    for i, (label, (least, p50, p95, p99)) in enumerate(rows):
        top, middle = i * ROW, i * ROW + 24
        title = f"min {least:.4g}, p50 {p50:.4g}, p95 {p95:.4g}, p99 {p99:.4g} {unit}"
        out.append(_text(0, top + 12, label))
        out.append(f'<path d="M{least * scale:.1f} {middle}H{p99 * scale:.1f}" class="whisker"/>')
        out.append(_rect(least * scale, top + 17, max(1, (p95 - least) * scale), colour(4), title))
        out.append(_rect(p50 * scale - 1.5, top + 14, 3, colour(5), title, BAR + 6))
        out.append(_text(p99 * scale + 4, top + 28, f"{p50:.4g} {unit}"))
    return _svg(len(rows) * ROW, out)


def lines(rows: Sequence[Line], unit: str, x_unit: str) -> str:
    """One polyline per row, y from 0.

    Args:
        rows: label, and its points.
        unit: of y.
        x_unit: of x.
    """
    points = [point for _, row in rows for point in row]
    left, bottom = 34, PLOT_HEIGHT - 18
    most_x = max((x for x, _ in points), default=0) or 1
    most_y = 1.05 * max((y for _, y in points), default=0) or 1
    out = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - 10)
        out.append(f'<path d="M{left} {y:.1f}H{WIDTH}" class="grid"/>')
        out.append(_text(left - 4, y + 4, f"{share * most_y:.3g}", "end"))
    out.append(_text(WIDTH, PLOT_HEIGHT - 4, f"{most_x:.3g} {x_unit}", "end"))
    out.append(_text(left, PLOT_HEIGHT - 4, f"{unit} over {x_unit}"))
    for i, (label, row) in enumerate(rows):
        at = [
            (left + x / most_x * (WIDTH - left - 4), bottom - y / most_y * (bottom - 10))
            for x, y in row
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in at)
        title = f"<title>{escape(label)}</title>"
        out.append(
            f'<g fill="{colour(i)}" stroke="{colour(i)}">{title}'
            f'<polyline points="{path}" fill="none" stroke-width="2"/>{dots}</g>'
        )
    return _svg(PLOT_HEIGHT, out) + legend([label for label, _ in rows])


def legend(names: Sequence[str]) -> str:
    """Names beside their colours, as HTML."""
    items = (
        f'<span><i style="background:{colour(i)}"></i>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _svg(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" preserveAspectRatio="xMinYMin">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, fill: str, title: str, height: float = BAR) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height}" '
        f'fill="{fill}"><title>{escape(title)}</title></rect>'
    )
