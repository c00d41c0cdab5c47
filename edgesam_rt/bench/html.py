"""Reports as one HTML page: no other file, no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from edgesam_rt.bench import svg
from edgesam_rt.bench.compare import name_of, noise
from edgesam_rt.bench.report import Report, Series

Named = tuple[str, Report]

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--ground:#fff;--dim:#666;--line:#ccc}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--ground:#161616;--dim:#9a9a9a;--line:#444}}
body{margin:0 auto;padding:16px;max-width:680px;font:16px/1.45 system-ui,sans-serif;
color:var(--ink);background:var(--ground)}
h1{font-size:1.4em}h2{font-size:1.1em;margin:1.8em 0 .3em}p{margin:.3em 0}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}
.whisker,.grid{stroke:var(--dim);stroke-width:1}.grid{stroke:var(--line)}
.legend{font-size:.8em}.legend span{margin-right:1em;white-space:nowrap}
.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.8em;white-space:nowrap}
td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid var(--line)}
td:first-child,th:first-child{text-align:left;white-space:normal;min-width:8em;padding-left:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em .8em;font-size:.85em;margin:.5em 0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.warning{border-left:4px solid #d55e00;padding-left:.6em}.dim{color:var(--dim);font-size:.85em}
"""


def page(reports: Sequence[Named]) -> str:
    """The page.

    Args:
        reports: each with the name it has on the page.
    """
    sections = [section(reports) for section in SECTIONS]
    title = "edgesam-bench: " + ", ".join(name for name, _ in reports)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>\n{''.join(s for s in sections if s)}</body></html>\n"
    )


def _facts(reports: Sequence[Named]) -> str:
    out = []
    for name, report in reports:
        rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _rows(report))
        warnings = "".join(f'<p class="warning">{escape(w)}</p>' for w in report.warnings)
        out.append(f"<h2>{escape(name)}</h2><dl>{rows}</dl>{warnings}")
    return "\n".join(out)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    m, s, e = report.machine, report.settings, report.engines
    yield "machine", f"{m.model or m.arch} ({m.memory_mib} MiB, {m.cores} cores), board {m.board}"
    yield "processor", f"{m.cpu} ({', '.join(m.cpu_flags) or 'none of the known flags'})"
    yield "engines", f"{e.bundle}, {e.backend}, sha256 {e.sha256[:16]}"
    yield "software", ", ".join(f"{k} {v}" for k, v in report.software.items())
    pinned = f", tied to cores {', '.join(map(str, s.pinned))}" if s.pinned else ""
    yield "run", f"{report.date}, {report.seconds:g} s, {s.rounds} rounds{pinned}"
    load = f"{report.load_average[0]:g} at the start"
    share = report.others_cpu_share
    yield (
        "load",
        load + ("" if share is None else f", others used {100 * share:.0f} % of the cores"),
    )
    energy = report.energy
    idle = "" if energy.idle_w is None else f", {energy.idle_w:.2f} W idle"
    yield "energy", f"{energy.source}{idle}" if energy.source else f"not available: {energy.reason}"
    if report.power_mode:
        yield "power mode", report.power_mode


def _stages(reports: Sequence[Named], case: str, title: str) -> str:
    """Bars of the stages of a case whose stages add up."""
    rows: dict[str, list[tuple[str, float]]] = {}
    for label, s in _ordered(reports, lambda s: s.case == case and s.stage != "total"):
        rows.setdefault(label, []).append((s.stage, s.p50))
    return _section(title, svg.bars(list(rows.items()), "ms")) if rows else ""


def _ordered(
    reports: Sequence[Named], wanted: Callable[[Series], bool]
) -> Iterator[tuple[str, Series]]:
    """Chosen figures with their labels: the same figure of all reports together."""
    chosen = [(name, s) for name, report in reports for s in report.series if wanted(s)]
    order = list(dict.fromkeys(_group(s) for _, s in chosen))
    for name, s in sorted(chosen, key=lambda pair: order.index(_group(pair[1]))):
        yield _label(reports, name, s), s


def _group(s: Series) -> tuple[object, ...]:
    return s.case, s.side, s.threads, s.prompts


def _frame(reports: Sequence[Named]) -> str:
    return _stages(reports, "frame", "Where the time of one picture with one point goes, p50")


def _start(reports: Sequence[Named]) -> str:
    return _stages(reports, "start", "From nothing to the first result, p50")


def _spread(reports: Sequence[Named]) -> str:
    rows = [
        (f"{_short(s)}, {label}", (s.min, s.p50, s.p95, s.p99))
        for label, s in _ordered(reports, _has_spread)
    ]
    note = '<p class="dim">Box: least to p95. Line: to p99. Mark and figure: p50.</p>'
    return _section("Spread", svg.ranges(rows, "ms") + note) if rows else ""


def _has_spread(s: Series) -> bool:
    return s.unit == "ms" and (s.stage == "age" or (s.stage == "total" and s.case != "start"))


def _short(series: Series) -> str:
    if series.case == "prompts":
        return f"{series.prompts} prompts"
    return {"frame": "one picture"}.get(series.case, f"{series.case} {series.stage}")


def _rounds(reports: Sequence[Named]) -> str:
    rows = [
        (label, [(i + 1.0, v) for i, v in enumerate(s.rounds)])
        for label, s in _ordered(reports, lambda s: (s.case, s.stage) == ("frame", "total"))
        if len(s.rounds) > 1
    ]
    title = "One picture, median of each round"
    return _section(title, svg.lines(rows, "ms", "rounds")) if rows else ""


def _sensors(reports: Sequence[Named]) -> str:
    out = []
    kinds = (("temperatures_c", "Temperatures", "°C"), ("clocks_mhz", "Clocks", "MHz"))
    for field, title, unit in kinds:
        rows: dict[str, list[tuple[float, float]]] = {}
        for name, report in reports:
            for reading in report.readings:
                for sensor, value in getattr(reading, field).items():
                    label = sensor if len(reports) == 1 else f"{name}: {sensor}"
                    rows.setdefault(label, []).append((reading.at_s, value))
        if rows:
            out.append(_section(title, svg.lines(list(rows.items()), unit, "s")))
    return "".join(out)


def _table(reports: Sequence[Named]) -> str:
    head = ("figure", "p50", "p95", "p99", "min", "noise", "n")
    body = [
        (
            name_of(s) if len(reports) == 1 else f"{name}: {name_of(s)}",
            *(f"{v:.4g} {s.unit}" for v in (s.p50, s.p95, s.p99, s.min)),
            f"{100 * noise(s):.0f} %",
            str(s.n),
        )
        for name, report in reports
        for s in report.series
    ]
    return _section("All figures", _html_table(head, body))


def _accuracy(reports: Sequence[Named]) -> str:
    body = [
        (f"{name}, side {side}, {size}", *(_percent(means, k) for k in _MEASURES))
        for name, report in reports
        if report.accuracy
        for side, sizes in report.accuracy.miou.items()
        for size, means in sizes.items()
    ]
    head = ("mIoU", "box", "point", "3 clicks", "objects")
    return _section("Accuracy", _html_table(head, body)) if body else ""


_MEASURES = ("box", "point", "clicks", "objects")


def _percent(means: dict[str, float], key: str) -> str:
    if key == "objects":
        return f"{means[key]:.0f}"
    return f"{100 * means[key]:.1f}" if key in means else ""


def _html_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [("th", head), *(("td", row) for row in body)]
    lines = (
        "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for tag, row in rows
    )
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}\n"


def _label(reports: Sequence[Named], name: str, s: Series) -> str:
    where = f"side {s.side}, {s.threads} thread{'s' * (s.threads != 1)}"
    return where if len(reports) == 1 else f"{name}, {where}"


SECTIONS = (_facts, _frame, _spread, _rounds, _start, _sensors, _accuracy, _table)
