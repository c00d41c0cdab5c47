"""The strategies that a benchmark asks for, and which of them this runtime knows."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from edgesam_rt.api import Segmenter
from edgesam_rt.errors import EdgeSamError
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.types import U8

STRATEGIES = ("grid", "hierarchical", "objects")
_LONG_MS = 60_000.0


class Timed(NamedTuple):
    """What came out, after how long."""

    found: MaskSet
    ms: float


def ask(
    seg: Segmenter,
    image: U8 | Embedding,
    strategy: str,
    deadline_ms: float | None = None,
    **options: Any,
) -> Timed:
    """Find everything, and say how long it took until the masks can be had (run lengths not)."""
    if deadline_ms is not None:
        options["deadline_ms"] = deadline_ms
    started = time.perf_counter_ns()
    found = seg.everything(image, strategy=strategy, **options)
    return Timed(found, (time.perf_counter_ns() - started) / 1e6)


def completeness(found: MaskSet) -> float:
    """How much of the full work was done, 0 to 1."""
    return float(getattr(found, "completeness", 1.0))


def missing(seg: Segmenter, *, with_deadline: bool = False) -> dict[str, str]:
    """Strategies that cannot be asked for here, and why, in the runtime's words."""
    tiny = np.zeros((48, 64, 3), np.uint8)
    out = {}
    for name in STRATEGIES:
        try:
            ask(seg, tiny, name, _LONG_MS if with_deadline else None)
        except EdgeSamError as error:
            out[name] = str(error)
    return out


def known(absent: dict[str, str]) -> list[str]:
    """Those that are not missing."""
    return [name for name in STRATEGIES if name not in absent]
