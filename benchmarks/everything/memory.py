"""Peak memory of large and empty pictures, each case in a process of its own.

`python -m benchmarks.everything.memory CASE STRATEGY BUNDLE THREADS DATA` measures one case.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import edgesam_rt as es
from benchmarks.everything import strategies
from benchmarks.everything.photos import one_of_vga
from edgesam_rt.pipeline.metrics import peak_memory_mib
from edgesam_rt.types import U8

_LIMIT_S = 300
POINTS = 32


def _photo(data: Path, wh: tuple[int, int]) -> U8:
    pixels = one_of_vga(data).pixels
    return np.asarray(cv2.resize(pixels, wh, interpolation=cv2.INTER_CUBIC), np.uint8)


CASES: dict[str, Callable[[Path], U8]] = {
    "640x480": lambda data: _photo(data, (640, 480)),
    "1920x1080": lambda data: _photo(data, (1920, 1080)),
    "4000x3000": lambda data: _photo(data, (4000, 3000)),
    "uniform grey, 640x480": lambda _: np.full((480, 640, 3), 127, np.uint8),
    "uniform grey, 4000x3000": lambda _: np.full((3000, 4000, 3), 127, np.uint8),
}


def measure(bundle: str, threads: int, data: Path, names: list[str]) -> dict[str, object]:
    """Every case with every strategy, and without any: encoder and engines alone."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        for name in ("encoder", *names):
            rows.append(
                {
                    "picture": case,
                    "strategy": name,
                    **_in_process(case, name, bundle, threads, data),
                }
            )
    return {"points_per_side": POINTS, "threads": threads, "rows": rows}


def _in_process(case: str, name: str, bundle: str, threads: int, data: Path) -> dict[str, Any]:
    words = [case, name, bundle, str(threads), str(data)]
    command = [sys.executable, "-m", "benchmarks.everything.memory", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {_LIMIT_S} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1]}
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def one_case(case: str, name: str, bundle: str, threads: int, data: Path) -> dict[str, Any]:
    """Measure in this process: peak when the masks are found, and when their runs are made."""
    cv2.setNumThreads(threads)
    pixels = CASES[case](data)
    with es.open(bundle, threads=threads) as seg:
        embedding = seg.encode(pixels)
        figures: dict[str, Any] = {"before_mib": peak_memory_mib()}
        if name == "encoder":
            return {**figures, "peak_mib": peak_memory_mib()}
        del embedding
        options = {} if name == "objects" else {"points_per_side": POINTS}
        found, ms = strategies.ask(seg, pixels, name, **options)
        figures |= {"ms": round(ms, 2), "masks": len(found), "peak_mib": peak_memory_mib()}
        assert len(found.runs) == len(found)
        return {**figures, "peak_with_runs_mib": peak_memory_mib()}


if __name__ == "__main__":
    _case, _name, _bundle, _threads, _data = sys.argv[1:]
    json.dump(one_case(_case, _name, _bundle, int(_threads), Path(_data)), sys.stdout)
