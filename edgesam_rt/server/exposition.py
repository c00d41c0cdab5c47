"""Metrics for Prometheus, made of what the run counts anyway when somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edgesam_rt.server.schemas import CameraState
from edgesam_rt.server.site import Site
from edgesam_rt.service.tally import BUCKETS_MS, STAGES, Histogram

MEDIA = CONTENT_TYPE_LATEST
_BOUNDS = [*(str(bound / 1e3) for bound in BUCKETS_MS), "+Inf"]
_PREFIX = "edgesam"


class RunCollector(Collector):
    """What a run counts, as metrics."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known when they are collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from self._times()
        yield from self._counters()
        yield from self._camera()
        yield from self._heat()
        lost = dict(self._site.pipeline.metrics.sink_dropped)
        yield _labelled("sink_lost", "Results that an output lost.", "sink", lost)
        refused = {str(int(code)): n for code, n in self._site.refused.copy().items()}
        yield _labelled("http_refused", "Requests that were not let in.", "status", refused)
        yield _gauge("objects", "Objects that are asked for.", len(self._site.control.objects))
        yield _gauge("threads", "Of the process, the engines' own among them.", _threads())
        build = InfoMetricFamily(f"{_PREFIX}_build", "What runs.")
        build.add_metric([], dict(self._site.build))
        yield build

    def _times(self) -> Iterator[Metric]:
        stages = self._site.hub.tally.stages
        family = HistogramMetricFamily(
            f"{_PREFIX}_stage_seconds", "Time of each stage, per result.", labels=["stage"]
        )
        for name in STAGES[:-1]:
            _add(family, [name], stages[name])
        yield family
        age = HistogramMetricFamily(f"{_PREFIX}_age_seconds", "Capture to result.")
        _add(age, [], stages["age"])
        yield age

    def _counters(self) -> Iterator[Metric]:
        metrics = self._site.pipeline.metrics
        yield _counter("frames", "Frames that the source gave.", metrics.frames)
        yield _counter("results", "Results that were made.", metrics.results)
        yield _counter("results_late", "Results older than the budget.", metrics.late)
        yield _labelled("frames_dropped", "Frames that were lost.", "reason", metrics.dropped)
        yield _degraded(metrics.degraded.copy())
        yield _labelled(
            "results_reused", "Made of an earlier embedding.", "how", metrics.reused.copy()
        )
        newest = self._site.hub.newest()
        step = 0 if newest is None else newest.ladder_step
        yield _gauge("ladder_step", "Of the newest result; 0 is full quality.", step)
        budget_s = self._site.pipeline.budget_ms / 1e3
        yield _gauge("budget_seconds", "Capture to result; 0: none.", budget_s)

    def _heat(self) -> Iterator[Metric]:
        """What the board's sensors say; nothing where there are none."""
        readings = self._site.pipeline.readings
        celsius = GaugeMetricFamily(
            f"{_PREFIX}_temperature_celsius", "Of the board.", labels=["sensor"]
        )
        for sensor, value in readings.temperatures_c.items():
            celsius.add_metric([sensor], value)
        held = GaugeMetricFamily(
            f"{_PREFIX}_held_back", "1 for what slows the board down now.", labels=["reason"]
        )
        for reason in readings.reasons:
            held.add_metric([reason], 1)
        yield from (celsius, held)

    def _camera(self) -> Iterator[Metric]:
        camera = self._site.pipeline.metrics.camera
        states = GaugeMetricFamily(
            f"{_PREFIX}_camera_state", "1 for the state that it is in.", labels=["state"]
        )
        for state in get_args(CameraState):
            states.add_metric([state], float(camera.state == state))
        yield states
        yield _counter("camera_reconnects", "How often it came back.", camera.reconnects)
        yield _labelled("camera_breaks", "Connections lost or refused.", "reason", camera.breaks)


class Exposition:
    """The text that is scraped, of one run."""

    def __init__(self, site: Site) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RunCollector(site))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return sum(1 for _ in tasks.iterdir()) if tasks.is_dir() else threading.active_count()


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    counts, sum_ms = histogram.read()
    total, buckets = 0, []
    for bound, count in zip(_BOUNDS, counts, strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric(labels, buckets, sum_ms / 1e3)


def _degraded(counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(
        f"{_PREFIX}_results_degraded",
        "Results below full quality.",
        labels=["ladder_name", "reason"],
    )
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", about, value=value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", about, value=value)


def _labelled(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", about, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
