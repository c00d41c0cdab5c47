"""Counters and latency percentiles of a run, safe to use from every thread."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.pipeline.series import Series
from edgesam_rt.records import Result

RECENT = 15  # newest values of a series that say what it takes now


@dataclass(frozen=True)
class Percentiles:
    """Of one series: how many values, and in milliseconds p50, p95, p99."""

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        frames: that the source gave.
        results: that were made.
        wall_s: from the first frame asked for to the last result.
        fps: results per second of that.
        stages: percentiles by stage; "age" is capture to result.
        dropped: frames lost, by reason.
        sink_dropped: results a sink was too slow for, by sink.
        late: results older than the budget.
        ladder: results by ladder step.
        degraded: results below full quality, by "step: reason".
        reused: results made of an earlier embedding, by how; see `Result.reuse`.
        peak_memory_mib: of the process, from its start.
        backend, bundle, board, threads: what ran, and how.
        encoder_sides: of the encoders that were used, px.
        passed_over: backends that the board prefers, and why they did not run.
        reconnects: how often the camera came back after it was lost.
        camera_breaks: how often it was lost or could not be opened, by reason.
    """

    frames: int
    results: int
    wall_s: float
    fps: float
    stages: Mapping[str, Percentiles]
    dropped: Mapping[str, int]
    sink_dropped: Mapping[str, int]
    late: int
    ladder: Mapping[int, int]
    peak_memory_mib: float
    backend: str
    bundle: str
    board: str
    threads: int
    encoder_sides: tuple[int, ...]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    reconnects: int = 0
    camera_breaks: Mapping[str, int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    reused: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Metrics:
    """Collects; `percentiles` and `take_dropped` read.

    Attributes:
        sink_dropped: results that a sink lost, by sink.
        ladder: results by step.
        degraded: results below full quality, by the step's name and the reason for it.
        reused: results made of an earlier embedding, by how; see `Result.reuse`.
        frames, results, late: how many so far.
        camera: how it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, Series] = {}
        self._dropped: Counter[str] = Counter()
        self._dropped_since: Counter[str] = Counter()
        self.sink_dropped: Counter[str] = Counter()
        self.ladder: Counter[int] = Counter()
        self.degraded: Counter[tuple[str, str]] = Counter()
        self.reused: Counter[str] = Counter()
        self.frames = 0
        self.results = 0
        self.late = 0
        self.camera = CameraHealth("connecting")

    def time(self, stage: str, ms: float) -> None:
        """Add a duration."""
        with self._lock:
            if stage not in self._series:
                self._series[stage] = Series()
            self._series[stage].add(ms)

    def add(self, result: Result, *, is_late: bool) -> None:
        """Count a result and its times."""
        for name in ("fit", "encode", "decode", "mask", "age"):
            if result.reuse == "none" or name not in ("fit", "encode"):
                self.time(name, getattr(result.timings, f"{name}_ms"))
        with self._lock:
            self.results += 1
            self.late += int(is_late)
            self.ladder[result.ladder_step] += 1
            if result.ladder_step:
                self.degraded[result.ladder_name, result.ladder_reason] += 1
            if result.reuse != "none":
                self.reused[result.reuse] += 1

    def typical_ms(self, stage: str) -> float:
        """Median of a stage's newest durations; 0 before the first."""
        with self._lock:
            if stage not in self._series:
                return 0.0
            newest = self._series[stage].newest(RECENT)
        return float(np.median(newest))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count lost frames."""
        if count:
            with self._lock:
                self._dropped[reason] += count
                self._dropped_since[reason] += count

    def sink_drop(self, sink: str, count: int) -> None:
        """Count results that a sink lost."""
        if count:
            with self._lock:
                self.sink_dropped[sink] += count

    @property
    def results_lost(self) -> int:
        """Results that sinks lost so far."""
        with self._lock:
            return sum(self.sink_dropped.values())

    def take_dropped(self) -> Mapping[str, int]:
        """Frames lost since the last call, by reason."""
        with self._lock:
            taken, self._dropped_since = self._dropped_since, Counter()
        return dict(taken)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames lost so far, by reason."""
        with self._lock:
            return dict(self._dropped)

    def percentiles(self) -> dict[str, Percentiles]:
        """Of every series."""
        with self._lock:
            taken = {name: (s.count, s.values()) for name, s in self._series.items()}
        out = {}
        for name, (count, values) in taken.items():
            p50, p95, p99 = (round(float(v), 3) for v in np.percentile(values, (50, 95, 99)))
            out[name] = Percentiles(count, p50, p95, p99)
        return out


def peak_memory_mib() -> float:
    """Largest resident size of this process so far."""
    with contextlib.suppress(OSError):
        # On Linux exact; getrusage also remembers the process that this one was started from.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        if found:
            return round(int(found[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)
