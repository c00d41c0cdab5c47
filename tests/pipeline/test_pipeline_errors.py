"""An error in any stage ends the run soon, is raised once, and leaves the other sinks whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import (
    CameraError,
    CameraMissing,
    EdgeSamError,
    PipelineError,
    PromptError,
    SinkError,
)
from edgesam_rt.pipeline import pipeline as pipeline_module
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.task import Prompts, PromptTask
from edgesam_rt.records import Prompt
from tests.pipeline.doubles import (
    DEADLINE_S,
    POINT,
    Boom,
    FailingCamera,
    Recorder,
    at_frame,
    hooked,
    run,
    synthetic,
)

pytestmark = pytest.mark.timeout(30)

SOON_S = 8.0
OUTSIDE = PromptTask(Prompts(POINT.prompts.everywhere, {"frame-000003": (Prompt.point(999, 5),)}))


@dataclass
class Case:
    """What fails, how, and which frame it belongs to."""

    what: str
    kind: type[EdgeSamError]
    words: str
    frame_id: int | None = None
    camera: Callable[[], Any] = synthetic
    hooks: dict[str, Any] = field(default_factory=dict)
    task: PromptTask = POINT
    bad_sink: Recorder | None = None
    least: int = 0  # results that the good sink has got


def raising(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


CASES = [
    Case("camera-open", CameraMissing, "no such", camera=raising(CameraMissing("no such camera"))),
    Case("camera-open-bug", PipelineError, "capture.*Boom", camera=raising(Boom("open"))),
    Case(
        "camera-read",
        CameraError,
        "unplugged",
        camera=lambda: FailingCamera(3, CameraError("unplugged")),
    ),
    Case(
        "camera-read-bug",
        PipelineError,
        "capture.*Boom",
        camera=lambda: FailingCamera(3, Boom("read")),
    ),
    Case(
        "encode-bug",
        PipelineError,
        "encode at frame 2: Boom",
        frame_id=2,
        hooks={"before_encode": lambda: at_frame(2, Boom("encode"))},
    ),
    Case(
        "decoder-open-bug",
        PipelineError,
        "decode.*Boom",
        hooks={"before_open_decoder": lambda: raising(Boom("open"))},
    ),
    Case("prompt-outside", PromptError, "999,5", frame_id=3, task=OUTSIDE, least=1),
    Case(
        "sink-open",
        SinkError,
        "no place",
        bad_sink=Recorder("bad", fails_to_open=True, error=SinkError("no place")),
        least=1,
    ),
    Case(
        "sink-open-bug",
        PipelineError,
        "sink bad.*Boom",
        bad_sink=Recorder("bad", fails_to_open=True),
        least=1,
    ),
    Case(
        "sink-write",
        SinkError,
        "disk is full",
        bad_sink=Recorder("bad", fails_at=2, error=SinkError("disk is full")),
        frame_id=2,
        least=3,
    ),
    Case(
        "sink-write-bug",
        PipelineError,
        "sink bad at frame 2: Boom",
        bad_sink=Recorder("bad", fails_at=2),
        frame_id=2,
        least=3,
    ),
]


def pipeline_of(case: Case, engines: EngineSet, good: Recorder, **options: Any) -> Pipeline:
    sinks = [s.plan for s in (case.bad_sink, good) if s is not None]
    hooks = {name: make() for name, make in case.hooks.items()}
    used = hooked(engines, **hooks) if hooks else engines
    return Pipeline(Plan(used, case.camera, case.task, sinks), **options)


@pytest.fixture(params=CASES, ids=lambda c: c.what)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    if found.bad_sink is not None:  # a fresh one each time
        bad = found.bad_sink
        found.bad_sink = Recorder(bad.name, 0.0, bad.fails_at, bad.error, bad.fails_to_open)
    return found


def test_it_is_raised_once_and_soon(case: Case, engines: EngineSet) -> None:
    good = Recorder("good")
    pipeline = pipeline_of(case, engines, good)
    started = time.monotonic()
    pipeline.start()
    assert pipeline.wait(SOON_S), "an error in a stage ends the run by itself"
    with pytest.raises(case.kind, match=case.words):
        pipeline.finish()
    pipeline.finish()
    assert time.monotonic() - started < SOON_S + 2
    assert pipeline.summary().results >= case.least


def test_other_sinks_keep_all_they_were_given_and_are_closed(
    case: Case, engines: EngineSet
) -> None:
    good = Recorder("good")
    pipeline = pipeline_of(case, engines, good)
    with pytest.raises(case.kind), pipeline:
        pipeline.wait(SOON_S)
    assert good.frame_ids == list(range(len(good.results)))
    assert len(good.results) == pipeline.summary().results >= case.least
    assert good.inner.is_closed == (good.info is not None)
    if case.bad_sink is not None and case.bad_sink.info is not None:
        assert case.bad_sink.inner.is_closed


def test_it_names_the_frame_it_belongs_to(case: Case, engines: EngineSet) -> None:
    with pytest.raises(case.kind) as caught, pipeline_of(case, engines, Recorder("good")) as run_:
        run_.wait(SOON_S)
    told = getattr(caught.value, "frame_id", None)
    if case.frame_id is None:
        assert told is None, f"no stage had a bad frame in hand, yet it names {told}"
    else:
        named = f"frame-{case.frame_id:06d}" in str(caught.value)
        assert told == case.frame_id or named


def test_a_reader_of_results_gets_it_and_does_not_wait_for_ever(
    case: Case, engines: EngineSet
) -> None:
    pipeline = pipeline_of(case, engines, Recorder("good"), with_results=True)
    with pytest.raises(case.kind, match=case.words), pipeline:
        for _ in pipeline.results():
            pass


def test_the_second_of_two_sinks_with_one_name_may_fail(engines: EngineSet) -> None:
    first, second = Recorder("same"), Recorder("same", 0.05, fails_at=1)
    started = time.monotonic()
    with pytest.raises(PipelineError, match="sink same"):
        run(engines, lambda: synthetic(12), [first, second])
    assert time.monotonic() - started < SOON_S
    assert first.frame_ids == list(range(len(first.results)))
    assert len(first.results) >= 2


def test_all_sinks_may_fail_at_once(engines: EngineSet) -> None:
    with pytest.raises(PipelineError, match="Boom"):
        run(engines, lambda: synthetic(12), [Recorder(f"s{i}", 0.0, fails_at=1) for i in range(3)])


def test_an_error_while_a_live_source_goes_on_ends_the_run(engines: EngineSet) -> None:
    with pytest.raises(PipelineError, match=r"encode at frame [0-9]+: Boom"):
        run(
            hooked(engines, before_encode=at_frame(3, Boom("encode"))),
            lambda: FailingCamera(10**6, None, live=True),
            [Recorder()],
        )


def test_an_error_of_the_body_comes_before_that_of_a_stage(engines: EngineSet) -> None:
    case = CASES[2]
    pipeline = pipeline_of(case, engines, Recorder("good"))
    with pytest.raises(KeyError), pipeline:
        pipeline.wait(DEADLINE_S)
        raise KeyError("body")


def test_a_stage_that_does_not_end_is_named(
    engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "JOIN_TIMEOUT_S", 0.5)
    stuck = Recorder("stuck", delay_s=1.5)
    pipeline = Pipeline(Plan(engines, lambda: synthetic(1), POINT, [stuck.plan]))
    pipeline.start()
    while pipeline.results_made == 0:
        time.sleep(0.01)
    with pytest.raises(PipelineError, match="sink stuck did not end within 0.5 s"):
        pipeline.finish()
    assert pipeline.wait(DEADLINE_S)
