"""Sinks that hold a file, a port or a socket change while the pipeline runs, and lose results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError, ResultsLost
from edgesam_rt.pipeline.pipeline import Pipeline, Plan, SinkPlan
from edgesam_rt.records import Result
from edgesam_rt.sinks import open_sink, parse_sink
from tests.pipeline.doubles import DEADLINE_S, POINT, Recorder, synthetic


def plans_of(*texts: str) -> list[SinkPlan]:
    specs = [parse_sink(text) for text in texts]
    return [SinkPlan(spec.text, partial(open_sink, spec), spec.place) for spec in specs]


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def running(engines: EngineSet, sinks: Sequence[SinkPlan]) -> Iterator[Pipeline]:
    camera = synthetic(None, live=True, fps=30)
    plan = Plan(engines, lambda: camera, POINT, sinks, outlives_sinks=True)
    with Pipeline(plan) as pipeline:
        wait_for(lambda: pipeline.results_made > 2)
        yield pipeline


def rows(path: Path) -> list[dict[str, object]]:
    """What is in a file, without a line that is just being written."""
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def has_rle(row: dict[str, object]) -> bool:
    objects = row["objects"]
    assert isinstance(objects, list)
    return "rle" in objects[0]


def test_a_file_with_other_options_is_closed_before_it_is_opened_again(
    engines: EngineSet, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    with running(engines, plans_of(f"jsonl:{path}")) as pipeline:
        wait_for(lambda: path.exists() and len(rows(path)) > 2)
        pipeline.change_sinks(plans_of(f"jsonl:{path}?rle=0"))
        wait_for(lambda: not has_rle(rows(path)[-1]))
    found = rows(path)
    ids = [row["frame_id"] for row in found]
    assert ids == sorted(set(ids)), "two sinks wrote at once"
    assert has_rle(found[0])


@pytest.mark.parametrize("target", ["mjpeg::0", "socket:{}/feed.sock"])
def test_a_port_and_a_socket_change_their_options(
    target: str, engines: EngineSet, tmp_path: Path
) -> None:
    text = target.format(tmp_path)
    option = "fps=5" if text.startswith("mjpeg") else "masks=bits"
    with running(engines, plans_of(text)) as pipeline:
        pipeline.change_sinks(plans_of(f"{text}?{option}"))
        made = pipeline.results_made
        wait_for(lambda: pipeline.results_made > made + 2)
        assert pipeline.results_lost == 0


def test_a_place_whose_new_sink_does_not_open_goes_back_to_the_old_one(
    engines: EngineSet, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    old, bad = plans_of(f"jsonl:{path}")[0], Recorder("bad", fails_to_open=True)
    bad.error = ConfigError("bad: cannot be.")
    with running(engines, [old]) as pipeline:
        wait_for(lambda: path.exists() and len(rows(path)) > 2)
        with pytest.raises(ConfigError, match=r"bad: cannot be\."):
            pipeline.change_sinks([SinkPlan("bad", bad.open, old.place)])
        seen = len(rows(path))
        wait_for(lambda: len(rows(path)) > seen)


class Forgetful(Recorder):
    """Gives up a result now and then, and two more at the end."""

    def write(self, result: Result) -> None:
        super().write(result)
        if len(self.results) % 2:
            raise ResultsLost("forgetful: no room.", 1)

    def close(self) -> None:
        super().close()
        raise ResultsLost("forgetful: closed.", 2)


def test_results_that_a_sink_gives_up_are_counted_and_end_no_run(engines: EngineSet) -> None:
    sink = Forgetful("forgetful")
    with Pipeline(Plan(engines, lambda: synthetic(6), POINT, [sink.plan])) as pipeline:
        assert pipeline.wait(DEADLINE_S)
    assert len(sink.results) == 6
    assert pipeline.summary().sink_dropped == {"forgetful": 5}


def test_a_service_tells_its_sinks_that_it_resumes(engines: EngineSet) -> None:
    for resumes in (False, True):
        sink = Recorder("memory:")
        plan = Plan(engines, lambda: synthetic(2), POINT, [sink.plan], outlives_sinks=resumes)
        with Pipeline(plan) as pipeline:
            assert pipeline.wait(DEADLINE_S)
        assert sink.info is not None
        assert sink.info.resumes is resumes
