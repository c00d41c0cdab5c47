"""Average recall and time of each strategy over coco-val, in full and with deadlines."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.everything import strategies
from benchmarks.everything.photos import photos
from benchmarks.everything.recall import Rle, average_recall, texts
from edgesam_rt.api import Segmenter
from edgesam_rt.bench.measure import series

SHARES = (0.25, 0.5, 0.75)  # of the full time of each photo


def in_full(seg: Segmenter, data: Path, limit: int | None) -> dict[str, object]:
    """Every strategy on every photo, in turns. Seconds are from pixels to a MaskSet."""
    absent = strategies.missing(seg)
    names = strategies.known(absent)
    found: dict[str, dict[int, list[Rle]]] = {name: {} for name in names}
    ms: dict[str, list[float]] = {name: [] for name in names}
    for photo in tqdm(photos(data, limit), total=limit, unit="photo", file=sys.stderr):
        for name in names:
            made, took = strategies.ask(seg, photo.pixels, name)
            ms[name].append(took)
            found[name][photo.image_id] = texts(made)
    rows = [
        {
            "strategy": name,
            **average_recall(data, found[name]),
            "masks_per_photo": _per_photo(found[name]),
            "ms": series(ms[name]),
            "seconds_per_photo": round(float(np.mean(ms[name])) / 1000, 4),
        }
        for name in names
    ]
    return {"photos": len(next(iter(found.values()), {})), "rows": rows, "unknown": absent}


def with_deadlines(seg: Segmenter, data: Path, limit: int | None) -> dict[str, object]:
    """Every strategy at shares of the time that it takes in full on the same photo."""
    absent = strategies.missing(seg, with_deadline=True)
    names = strategies.known(absent)
    found: dict[tuple[str, float], dict[int, list[Rle]]] = defaultdict(dict)
    late: dict[tuple[str, float], list[float]] = defaultdict(list)
    done: dict[tuple[str, float], list[float]] = defaultdict(list)
    for photo in tqdm(photos(data, limit), total=limit, unit="photo", file=sys.stderr):
        for name in names:
            made, full_ms = strategies.ask(seg, photo.pixels, name)
            found[name, 1.0][photo.image_id] = texts(made)
            for share in SHARES:
                made, took = strategies.ask(seg, photo.pixels, name, share * full_ms)
                found[name, share][photo.image_id] = texts(made)
                late[name, share].append(max(0.0, took - share * full_ms))
                done[name, share].append(strategies.completeness(made))
    rows: list[dict[str, Any]] = []
    for (name, share), of_photos in found.items():
        row: dict[str, Any] = {"strategy": name, "share": share}
        row |= {"ar100": average_recall(data, of_photos)["ar100"]}
        row["masks_per_photo"] = _per_photo(of_photos)
        if share < 1:
            late_ms = late[name, share]
            row["late_ms"] = {**series(late_ms), "max": round(max(late_ms), 3)}
            row["completeness"] = round(float(np.mean(done[name, share])), 4)
        rows.append(row)
    rows.sort(key=lambda row: (strategies.STRATEGIES.index(row["strategy"]), row["share"]))
    n = len(next(iter(found.values()), {}))
    return {"photos": n, "rows": rows, "unknown": absent}


def _per_photo(found: dict[int, list[Rle]]) -> float:
    return round(float(np.mean([len(masks) for masks in found.values()])), 1)
