"""Counters and percentiles of a run."""

from __future__ import annotations

import json
import threading

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.metrics import Metrics, Percentiles, peak_memory_mib
from edgesam_rt.pipeline.series import KEPT
from tests.pipeline.doubles import run, synthetic


def test_percentiles_are_of_the_values_given() -> None:
    metrics = Metrics()
    for ms in range(1, 101):
        metrics.time("encode", float(ms))
    row = metrics.percentiles()["encode"]
    assert (row.n, row.p50_ms) == (100, 50.5)
    assert row.p95_ms == pytest.approx(95.05)
    assert row.p99_ms == pytest.approx(99.01)


def test_a_long_run_keeps_the_newest_values_and_counts_all() -> None:
    metrics = Metrics()
    for ms in [1.0] * 10 + [2.0] * KEPT:
        metrics.time("encode", ms)
    assert metrics.percentiles()["encode"] == Percentiles(KEPT + 10, 2.0, 2.0, 2.0)


def test_without_values_there_are_no_series() -> None:
    assert Metrics().percentiles() == {}


def test_dropped_frames_are_taken_once_and_counted_for_ever() -> None:
    metrics = Metrics()
    metrics.drop("late", 2)
    metrics.drop("newer frame")
    metrics.drop("never", 0)
    assert metrics.take_dropped() == {"late": 2, "newer frame": 1}
    assert metrics.take_dropped() == {}
    metrics.drop("late")
    assert metrics.take_dropped() == {"late": 1}
    assert metrics.dropped == {"late": 3, "newer frame": 1}


def test_nothing_is_lost_between_threads() -> None:
    metrics, taken = Metrics(), []

    def work() -> None:
        for _ in range(500):
            metrics.drop("late")
            metrics.sink_drop("null:", 1)
            metrics.time("encode", 1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        taken.append(metrics.take_dropped().get("late", 0))
        metrics.percentiles()
    for thread in threads:
        thread.join()
    taken.append(metrics.take_dropped().get("late", 0))
    assert sum(taken) == metrics.dropped["late"] == metrics.sink_dropped["null:"] == 2000
    assert metrics.percentiles()["encode"].n == 2000


def test_a_summary_is_json(engines: EngineSet) -> None:
    summary = run(engines, lambda: synthetic(2)).summary()
    read = json.loads(json.dumps(summary.as_json()))
    assert read["stages"]["age"]["p95_ms"] == summary.stages["age"].p95_ms > 0
    assert read["encoder_sides"] == [384]
    assert (read["frames"], read["results"], read["ladder"]) == (2, 2, {"0": 2})


def test_peak_memory_is_that_of_a_python_process() -> None:
    assert 10 < peak_memory_mib() < 100_000
