from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.soak.judge import PER, WARM_UP, Sample, growth
from benchmarks.soak.process import sample
from benchmarks.soak.tables import make
from tests.benchmarks.service_figures import SOAK


def run(*, leak_mib: float = 0.0, threads_more: int = 0) -> list[Sample]:
    """A run of 100,000 results that grows so much per 50,000, after a start that grows fast."""
    made = []
    for i, results in enumerate(range(0, 100_001, 500)):
        start = min(results, WARM_UP) / 20
        memory = 100 + start + leak_mib * results / PER + (i % 3) * 0.01
        made.append(Sample(i, results, memory, 9 + (i > 150) * threads_more, 30))
    return made


@pytest.mark.parametrize("leak_mib", [0.0, 0.5, 40.0, -3.0])
def test_the_slope_is_that_of_the_leak_and_not_of_the_start(leak_mib: float) -> None:
    found = growth(run(leak_mib=leak_mib))
    assert found.mib_per_50000 == pytest.approx(leak_mib, abs=0.02)
    assert found.results == 98_000


def test_a_thread_left_behind_shows() -> None:
    assert growth(run()).threads == (9, 9)
    assert growth(run(threads_more=2)).threads == (9, 11)


def test_too_short_a_run_is_no_judgement() -> None:
    with pytest.raises(ValueError, match="longer"):
        growth(run()[:6])


def test_a_sample_is_of_the_process_as_it_is() -> None:
    before = sample(os.getpid(), 0.0, 7)
    with Path(os.devnull).open(), Path(os.devnull).open():
        during = sample(os.getpid(), 0.0, 7)
    assert during.descriptors == before.descriptors + 2
    assert before.results == 7
    assert before.threads >= 1
    assert before.anonymous_mib > 5


def test_what_arrived_and_what_was_counted_as_lost_is_held_against_what_was_made() -> None:
    (_, text), *_ = make(SOAK)
    assert "| mqtt: arrived, counted as lost, neither | 9,993, 7, 0 |" in text
    assert "| jsonl: arrived, counted as lost, neither | 9,998, 0, 2 |" in text
