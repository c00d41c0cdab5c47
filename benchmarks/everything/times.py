"""How long the encoder and each strategy take on one photo of 640x480."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.everything import strategies
from benchmarks.everything.photos import one_of_vga
from edgesam_rt.api import Segmenter
from edgesam_rt.bench import measure
from edgesam_rt.bench.measure import series

WARM_UP = 3


def of_strategies(
    open_with: Callable[[int], Segmenter], data: Path, threads: list[int], repeats: int
) -> dict[str, object]:
    """Encoder and strategies in turns, per number of threads.

    Every time is from pixels: to the embedding for the encoder, to a MaskSet for a strategy, whose
    masks are made when they are asked for; `with_runs` is to the run lengths of all masks.
    """
    photo = one_of_vga(data)
    rows: list[dict[str, Any]] = []
    for n in threads:
        with open_with(n) as seg:
            names = strategies.known(strategies.missing(seg))
            counts = {name: len(seg.everything(photo.pixels, strategy=name)) for name in names}
            works: dict[str, measure.Work] = {"encoder": partial(seg.encode, photo.pixels)}
            for name in names:
                works[name] = partial(seg.everything, photo.pixels, strategy=name)
                works[f"{name} with runs"] = partial(_runs, seg, photo.pixels, name)
            times = measure.interleave(works, warm_up=WARM_UP, repeats=repeats)
        walls = {name: series(t.wall) for name, t in times.items()}
        for name in ("encoder", *names):
            row = {"what": name, "threads": n, "ms": walls[name]}
            row["times_encoder"] = round(walls[name]["p50"] / walls["encoder"]["p50"], 3)
            if name in counts:
                row["masks"] = counts[name]
                row["with_runs_ms"] = walls[f"{name} with runs"]
                row["times_grid"] = round(walls[name]["p50"] / walls["grid"]["p50"], 3)
            rows.append(row)
    return {"photo": photo.name, "rows": rows}


def _runs(seg: Segmenter, pixels: Any, strategy: str) -> object:
    return seg.everything(pixels, strategy=strategy).runs
