"""Stopping at any time ends the run soon, with everything that was finished written."""

from __future__ import annotations

import random
import threading
import time

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from tests.pipeline.doubles import POINT, Recorder, SlowTask, synthetic

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("seed", range(20))
def test_stopping_at_a_random_time_never_hangs(seed: int, engines: EngineSet) -> None:
    chance = random.Random(seed)
    is_live, with_results = chance.random() < 0.5, chance.random() < 0.3
    sinks = [Recorder(f"s{i}", chance.choice((0.0, 0.05))) for i in range(chance.randint(0, 3))]
    task = SlowTask(POINT, chance.choice((0.0, 0.05)))
    plan = Plan(engines, lambda: synthetic(200, live=is_live), task, [s.plan for s in sinks])
    pipeline = Pipeline(plan, with_results=with_results)
    pipeline.start()
    time.sleep(chance.uniform(0.0, 0.4))
    if chance.random() < 0.5:
        for _ in range(3):
            threading.Thread(target=pipeline.stop).start()
    started = time.monotonic()
    pipeline.finish()
    assert time.monotonic() - started < 4
    made = pipeline.summary().results
    for sink in sinks:
        assert sink.frame_ids == sorted(set(sink.frame_ids))
        if not is_live:
            assert len(sink.results) == made
        assert sink.inner.is_closed == (sink.info is not None)


def test_a_second_finish_and_a_late_stop_are_quiet(engines: EngineSet) -> None:
    pipeline = Pipeline(Plan(engines, lambda: synthetic(2), POINT))
    with pipeline:
        pass
    pipeline.stop()
    pipeline.finish()
    assert pipeline.wait(0.0)


def test_a_stop_before_the_first_frame_gives_no_result(engines: EngineSet) -> None:
    sink = Recorder()
    pipeline = Pipeline(Plan(engines, lambda: synthetic(50), POINT, [sink.plan]))
    pipeline.stop()
    with pipeline:
        pass
    assert sink.results == []
