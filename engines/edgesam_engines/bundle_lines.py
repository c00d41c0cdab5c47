"""A bundle in words: a line of `list`, and what `inspect` and `build` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgesam_rt.backends.setup import AnyBundle
from edgesam_rt.manifest import EngineFile

TENSORRT, LITERT = "tensorrt", "litert"
_MAIN = ("encoder", "detector")  # the parts that the manifest's precision is about


def summary(found: AnyBundle) -> dict[str, Any]:
    """What `list` says of a bundle, as plain JSON."""
    m = found.manifest
    return {
        "folder": str(found.folder),
        "version": m.version,
        "family": m.family,
        "precision": m.precision,
        "sides": {backend: list(found.sides(backend)) for backend in found.backends},
        "size_bytes": _size(found),
        "licence": m.licence,
    }


def row(name: str, found: AnyBundle) -> str:
    """The same as a line; the licence up to its first remark."""
    m = found.manifest
    sides = ", ".join(f"{b} {'/'.join(map(str, found.sides(b)))}" for b in found.backends)
    licence = m.licence.partition(";")[0].partition(",")[0]
    what = f"{name:<20} {m.version:<6} {m.family:<16} {m.precision:<4}"
    return f"{what} {_size(found) / 1e6:6.1f} MB  {sides}  [{licence}]"


def lines(found: AnyBundle) -> Iterator[str]:
    """All that a person wants to know before using a bundle."""
    m = found.manifest
    yield f"{m.name} {m.version} ({m.family}, {m.precision}) in {found.folder}"
    yield f"licence of the weights: {m.licence}"
    yield f"origin of the weights: {m.origin}"
    yield f"  {'part':<9} {'side':<4}  {'for':<11} {'computes in':<11}  {'MB':>7}  file"
    for entry in m.engines:
        yield (
            f"  {entry.part:<9} {entry.side or '-':<4}  {entry.backend:<11} "
            f"{precision_of(found, entry):<11}  {entry.size_bytes / 1e6:7.2f}  {entry.file}"
        )
    for part, why in m.keep_float.items():
        yield f"  float in {part}: {why}"
    yield from _figures(m.verification)


def precision_of(found: AnyBundle, entry: EngineFile) -> str:
    """What an engine computes in: only main parts are anything but float."""
    wanted = found.manifest.precision if entry.part in _MAIN else "fp32"
    return "fp32" if wanted == "fp16" and entry.backend != TENSORRT else wanted


def _size(found: AnyBundle) -> int:
    """Of all its engine files, each once, bytes."""
    return sum({e.file: e.size_bytes for e in found.manifest.engines}.values())


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    """Agreement with the float model, for each backend and side that was compared."""
    backend = str(report.get("backend", ""))
    added = {name: report.get(name, {}) for name in (TENSORRT, LITERT)}
    for name, sides in {backend: report, **added, **report.get("engines", {})}.items():
        model = str(sides.get("compared_with", report.get("compared_with")))
        for key, figures in sides.items():
            if key.startswith("side_") and "mean_iou" in figures:
                yield f"  {_compared(key.removeprefix('side_'), name, figures, model)}"
        if "self_test" in sides:
            yield f"  {name}: {sides['self_test']}"
    if "fp16" in report:
        worst = min(report["fp16"]["cosine"].values())
        yield f"  fp16: cosine with the float embedding {worst}, simulated; prove it on the board"


def _compared(side: str, backend: str, figures: Mapping[str, Any], model: str) -> str:
    by = [
        f"by {how} {figures[f'by_{how}']['mean_iou']}"
        for how in ("point", "box")
        if f"by_{how}" in figures
    ]
    where = f"{backend}{' (simulated)' if backend == TENSORRT else ''} at side {side}"
    return (
        f"{where}: mean IoU with {model} {figures['mean_iou']}"
        f"{' (' + ', '.join(by) + ')' if by else ''} over {figures['prompts']} prompts on "
        f"{figures['photos']} photos"
    )
