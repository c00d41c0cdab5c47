"""What the proof must show, judged by its figures: for CI, which fails when a promise is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.arm.opcodes import DOT_PRODUCTS

Row = Mapping[str, Any]

LEAST_IOU = 0.95  # of every mask of the job: the photo is resized by each machine's own OpenCV
HAS_DOT_PRODUCTS = {"cortex-a76": True, "cortex-a72": False}


def broken(figures: Row) -> list[str]:
    """Promises that these figures break, in words; none if all is well."""
    return [*_runs(figures["runs"]), *_operators(figures["operators"]), *_jobs(figures["install"])]


def _runs(runs: list[Row]) -> Iterator[str]:
    for run in runs:
        name = f"{run['board']}, {run['backend']}"
        if run["masks"]["iou"] < LEAST_IOU:
            yield f"{name}: a mask has IoU {run['masks']['iou']:.4f}, expected {LEAST_IOU} or more."
        found = sum(run["instructions"][dot] for dot in DOT_PRODUCTS)
        if (found > 0) != HAS_DOT_PRODUCTS[run["cpu"]]:
            yield f"{name}: {found} dot-product instructions on {run['cpu']}."
        yield from _encoders(name, run["stages"])


def _encoders(name: str, stages: list[Row]) -> Iterator[str]:
    for row in stages:
        if row["stage"] == "encoder" and row["equal"] != row["arrays"]:
            yield (
                f"{name}, side {row['side']}: {row['arrays'] - row['equal']} of {row['arrays']} "
                "encoder outputs are not x86-64's to the bit."
            )


def _operators(found: list[Row]) -> Iterator[str]:
    for run in found:
        for kind in run["kinds"]:
            if kind["worst_steps"] > 0:
                yield (
                    f"{run['board']}, side {run['side']}: {kind['differing']} of {kind['count']} "
                    f"{kind['op']} differ from x86-64's by up to {kind['worst_steps']} steps."
                )


def _jobs(installs: Mapping[str, Row]) -> Iterator[str]:
    for site, install in installs.items():
        for name, masks in install["jobs"].items():
            if masks["equal"] != masks["files"]:
                yield f"{site}: after trimming, {name} mode gives other masks."
