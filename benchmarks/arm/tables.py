"""The proof on Arm as Markdown tables; `benchmarks.tables` knows them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.arm.opcodes import DOT_PRODUCTS
from benchmarks.arm.sizes import MB
from benchmarks.markdown import markdown

Row = Mapping[str, Any]


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """All tables of one run."""
    yield "arm-masks", _masks(figures["runs"])
    yield "arm-stages", _stages(figures["runs"])
    yield "arm-operators", _operators(figures["operators"])
    yield "arm-instructions", _instructions(figures["runs"])
    yield "arm-adds", _adds(figures["adds"])
    yield "arm-packages", _packages(figures["install"])
    yield "arm-trimmed", _trimmed(figures["install"])
    yield "arm-jobs", _jobs(figures["install"])


def _masks(runs: Sequence[Row]) -> str:
    head = ["`edgesam-run` on a photo", "masks", "equal to x86-64's", "pixels that differ", "IoU"]
    rows = []
    for run in runs:
        found = run["masks"]
        pixels = f"{found['differing_pixels']:,} of {found['pixels']:,}"
        rows.append([_label(run), found["files"], found["equal"], pixels, f"{found['iou']:.5f}"])
    return markdown(head, rows)


def _stages(runs: Sequence[Row]) -> str:
    head = ["stage", "arrays", "equal to x86-64's", "elements that differ", "largest difference"]
    rows = []
    for run in runs:
        for row in run["stages"]:
            where = f"{_label(run)}, {row['side']} {row['stage']}".replace(",  ", ", ")
            cells = [row["arrays"], row["equal"], _percent(row["differing_share"])]
            rows.append([where, *cells, f"{row['largest']:.3g}"])
    return markdown(head, rows)


def _operators(found: Sequence[Row]) -> str:
    head = ["operator, alone on x86-64's bytes", "how many", "that differ", "at worst, elements"]
    head.append("at worst, steps of INT8")
    rows = []
    for run in found:
        for kind in run["kinds"]:
            where = f"{run['board']} ({run['cpu']}), side {run['side']}: {kind['op']}"
            cells = [kind["count"], kind["differing"], _percent(kind["worst_share"])]
            rows.append([where, *cells, kind["worst_steps"]])
    return markdown(head, rows)


def _instructions(runs: Sequence[Row]) -> str:
    names = ["instructions", *DOT_PRODUCTS]
    rows = [[_label(run), *(f"{run['instructions'][n]:,}" for n in names)] for run in runs]
    return markdown(["translated code", "all", *(n.upper() for n in DOT_PRODUCTS)], rows)


def _adds(found: Sequence[Row]) -> str:
    head = ["additions alone, scales of the inputs over the output's", "how many", "that differ"]
    head.append("at worst, elements")
    rows = [
        [
            f"{run['board']} ({run['cpu']}): {rule['rule']}",
            *(rule["count"], rule["differing"], _percent(rule["worst_share"])),
        ]
        for run in found
        for rule in run["rules"]
    ]
    return markdown(head, rows)


def _packages(installs: Mapping[str, Row]) -> str:
    """One column per folder of packages; what is largest in the last one first."""
    columns = [{p["name"]: p for p in row["packages"]} for row in installs.values()]
    rows = []
    for name, package in columns[-1].items():
        cells = [_mb(column[name]["bytes"]) if name in column else "" for column in columns]
        rows.append([name, package["version"], *cells])
    rows.append(["all", "", *(_mb(row["bytes"]) for row in installs.values())])
    return markdown(_head("package (arm64, Python 3.11)", installs, "version"), rows)


def _trimmed(installs: Mapping[str, Row]) -> str:
    """Pattern by pattern, what saves most first; then what is left."""
    columns = [{r["pattern"]: r["bytes"] for r in row["removed"]} for row in installs.values()]
    order = sorted(columns[-1], key=lambda pattern: -columns[-1][pattern])
    rows = [[f"`{p}`", *(_mb(column[p]) for column in columns)] for p in order]
    rows.append(["all", *(_mb(r["bytes"] - r["trimmed_bytes"]) for r in installs.values())])
    rows.append(["left", *(_mb(row["trimmed_bytes"]) for row in installs.values())])
    return markdown(_head("`firmware_scripts/trim.sh` removes", installs), rows)


def _head(first: str, installs: Mapping[str, Row], *more: str) -> list[str]:
    return [first, *more, *(f"{name}, MB" for name in installs)]


def _jobs(installs: Mapping[str, Row]) -> str:
    rows = [
        [f"{site}, {name}", found["files"], found["equal"]]
        for site, install in installs.items()
        for name, found in install["jobs"].items()
    ]
    return markdown(["`edgesam-run` after trimming, mode", "masks", "equal to those before"], rows)


def _label(run: Row) -> str:
    return f"{run['board']} ({run['cpu']}), {run['backend']}"


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{100 * share:.3g} %"


def _mb(size: int) -> str:
    return f"{size / MB:.1f}"
