"""Two reports against each other: what is slower, what is faster, beyond what the runs scatter.

A figure's noise is half the spread of its rounds' medians, relative to its p50. Its band is the sum
of both runs' noises, and at least LEAST_BAND, because a process started anew differs by some per
cent from the last one (addresses, caches, clocks) however steady it is in itself; and of times at
least LEAST_MS, because nobody feels less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from edgesam_rt.bench.report import Report, Series

LEAST_BAND = 0.05
LEAST_MS = 0.05
ACCURACY_BAND = 0.1  # points of mIoU; the same photos and engines give the same figures
# Figures that rest on few values of a whole system; a tight band would cry wolf.
WIDE_BANDS = {"start": 0.15, "energy": 0.10}
MEASURES = ("box", "point", "clicks")

Verdict = Literal["same", "slower", "faster", "worse", "better"]
VERDICTS: dict[str, tuple[Verdict, Verdict]] = {
    "ms": ("slower", "faster"),
    "fps": ("slower", "faster"),
}
OTHER: tuple[Verdict, Verdict] = ("worse", "better")


@dataclass(frozen=True)
class Line:
    """One figure of both reports.

    Attributes:
        name: for people.
        unit: of a and b: p50 of the figure, or points of mIoU.
        change: b / a - 1; of accuracy the difference in points.
        band: how far `change` may be from 0.
        verdict: of b, seen from a.
    """

    name: str
    unit: str
    a: float
    b: float
    change: float
    band: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """All figures that both reports have.

    Attributes:
        lines: see there.
        only_a, only_b: names of figures that the other report lacks.
        notes: what else differs between the runs, as sentences.
    """

    lines: tuple[Line, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def differing(self) -> tuple[Line, ...]:
        """Lines beyond their band, in either direction."""
        return tuple(line for line in self.lines if line.verdict != "same")


def other_machine(a: Report, b: Report) -> tuple[str, ...]:
    """What says that the reports are not from the same kind of machine; empty if they are."""
    return tuple(_differences(a.machine, b.machine))


def compare(a: Report, b: Report) -> Comparison:
    """Compare b with a."""
    first, second = ({name_of(s): s for s in r.series} for r in (a, b))
    lines = [_line(name, first[name], second[name]) for name in first if name in second]
    return Comparison(
        (*lines, *_accuracy(a, b)),
        tuple(name for name in first if name not in second),
        tuple(name for name in second if name not in first),
        tuple(_notes(a, b)),
    )


def name_of(series: Series) -> str:
    """What a figure is about, in words; no two figures of a report have the same."""
    where = [f"{series.prompts} prompts" if series.case == "prompts" else ""]
    where += [f"side {series.side}" if series.side else ""]
    plural = "s" * (series.threads != 1)
    where += [f"{series.threads} thread{plural}" if series.threads else ""]
    stage = f"{series.stage}, W" if series.unit == "W" else series.stage
    return f"{series.case} {stage} ({', '.join(w for w in where if w)})"


def noise(series: Series) -> float:
    """Half the spread of the rounds' medians, relative to the p50; of one round up to the p95."""
    if len(series.rounds) < 2:
        return max(0.0, series.p95 / series.p50 - 1) if series.p50 else 0.0
    spread = max(series.rounds) - min(series.rounds)
    return spread / 2 / abs(series.p50) if series.p50 else 0.0


def _line(name: str, a: Series, b: Series) -> Line:
    least_ms = LEAST_MS / a.p50 if a.unit == "ms" and a.p50 else 0.0
    band = max(WIDE_BANDS.get(a.case, LEAST_BAND), noise(a) + noise(b), least_ms)
    change = b.p50 / a.p50 - 1 if a.p50 else 0.0
    worse, better = VERDICTS.get(a.unit, OTHER)
    # Twice as fast is as far from equal as half as fast.
    ratio = 1 + change
    if 1 / (1 + band) <= ratio <= 1 + band:
        verdict: Verdict = "same"
    else:
        verdict = worse if (ratio > 1) == (a.better == "lower") else better
    return Line(name, a.unit, a.p50, b.p50, change, band, verdict)


def _accuracy(a: Report, b: Report) -> Iterator[Line]:
    if a.accuracy is None or b.accuracy is None:
        return
    if a.accuracy.annotations_sha256 != b.accuracy.annotations_sha256:
        return
    if a.accuracy.objects != b.accuracy.objects:
        return
    for side, sizes in a.accuracy.miou.items():
        for measure in MEASURES:
            was = 100 * sizes["all"][measure]
            now = 100 * b.accuracy.miou.get(side, sizes)["all"][measure]
            change = now - was
            same = abs(change) <= ACCURACY_BAND
            verdict: Verdict = "same" if same else ("better" if change > 0 else "worse")
            name = f"mIoU {measure} (side {side})"
            yield Line(name, "points", was, now, change, ACCURACY_BAND, verdict)


def _notes(a: Report, b: Report) -> Iterator[str]:
    parts = {
        "software": (a.software, b.software),
        "engines": (a.engines, b.engines),
        "settings": (a.settings, b.settings),
    }
    for part, (was, now) in parts.items():
        for difference in _differences(was, now):
            yield f"{part}: {difference}"
    if a.power_mode != b.power_mode:
        yield f"power mode: {a.power_mode} and {b.power_mode}"
    for letter, report in (("A", a), ("B", b)):
        for warning in report.warnings:
            yield f"{letter}: {warning}"


def _differences(a: object, b: object) -> Iterator[str]:
    """Fields with different values, "name: a and b"."""
    was, now = msgspec.to_builtins(a), msgspec.to_builtins(b)
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield f"{name}: {_short(was.get(name))} and {_short(now.get(name))}"


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
