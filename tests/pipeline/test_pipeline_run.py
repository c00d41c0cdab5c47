"""Whole runs with the bundled engine: what comes out, and what is lost where."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import EndOfStream
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.stages import Limits
from edgesam_rt.pipeline.task import EverythingTask, Prompts, PromptTask
from edgesam_rt.records import Prompt
from tests.pipeline.doubles import (
    DEADLINE_S,
    POINT,
    FailingCamera,
    LossyCamera,
    Recorder,
    SlowTask,
    run,
    synthetic,
)


def test_every_frame_of_a_finite_source_comes_out_in_order_with_timings(engines: EngineSet) -> None:
    sink, camera = Recorder(), synthetic(8)
    summary = run(engines, lambda: camera, [sink]).summary()
    assert sink.frame_ids == list(range(8))
    assert (summary.frames, summary.results, summary.dropped) == (8, 8, {})
    assert sink.inner.is_closed
    for result in sink.results:
        times = result.timings
        parts = times.fit_ms + times.encode_ms + times.decode_ms + times.mask_ms
        assert min(times.capture_ms, times.fit_ms, times.encode_ms, times.decode_ms) > 0
        assert times.age_ms >= parts
        assert (result.backend, result.encoder_side, result.ladder_step) == ("onnxruntime", 384, 0)
        assert result.bundle == engines.bundle.label
        assert len(result.masks) == len(result.prompts) == 1
        assert np.array_equal(result.frame.pixels, camera.draw(result.frame.frame_id))
    for stage in ("capture", "fit", "encode", "decode", "mask", "age", "sink memory:"):
        assert summary.stages[stage].n == 8, stage


def test_results_are_those_of_the_frame_they_carry(engines: EngineSet) -> None:
    """The mask of a moving disc follows it: no result is about the frame before."""
    camera = synthetic(12)
    disc = [camera.truth(i)[0] for i in range(12)]
    by_frame = {f"frame-{i:06d}": (Prompt.point(*disc[i].point_xy),) for i in range(12)}
    sink = Recorder()
    run(engines, lambda: camera, [sink], PromptTask(Prompts((), by_frame)))
    for i, result in enumerate(sink.results):
        assert result.prompts == by_frame[f"frame-{i:06d}"]
        assert result.masks.masks[0][int(disc[i].point_xy[1]), int(disc[i].point_xy[0])]


def test_frames_without_prompts_of_their_own_come_out_empty(engines: EngineSet) -> None:
    sink = Recorder()
    by_frame = {"frame-000001": (Prompt.point(48, 32), Prompt.box(4, 4, 50, 50))}
    run(engines, lambda: synthetic(3), [sink], PromptTask(Prompts((), by_frame)))
    assert [len(r.masks) for r in sink.results] == [0, 2, 0]


def test_everything_mode_runs_through_the_pipeline(engines: EngineSet) -> None:
    sink = Recorder()
    facts = engines.bundle.manifest.everything
    run(engines, lambda: synthetic(1), [sink], EverythingTask(facts))
    assert len(sink.results) == 1
    assert sink.results[0].prompts == ()


def test_max_frames_ends_the_run(engines: EngineSet) -> None:
    sink = Recorder()
    run(engines, lambda: synthetic(50), [sink], limits=Limits(max_frames=3))
    assert sink.frame_ids == [0, 1, 2]
    assert sink.info is not None
    assert sink.info.length == 3


def test_duration_ends_a_live_run(engines: EngineSet) -> None:
    sink = Recorder()
    pipeline = run(
        engines, lambda: synthetic(None, live=True), [sink], limits=Limits(duration_s=0.8)
    )
    assert 0.8 <= pipeline.summary().wall_s < DEADLINE_S / 2
    assert sink.results


def test_a_source_without_frames_ends_quietly(engines: EngineSet) -> None:
    sink = Recorder()
    summary = run(engines, lambda: FailingCamera(0, EndOfStream("no more")), [sink]).summary()
    assert (summary.frames, summary.results, summary.fps) == (0, 0, 0.0)
    assert sink.info is None


def test_the_summary_before_the_start_is_empty(engines: EngineSet) -> None:
    summary = Pipeline(Plan(engines, synthetic, POINT)).summary()
    assert (summary.frames, summary.results) == (0, 0)
    assert summary.wall_s < 1, "a run that never started took no time"


def test_a_live_source_with_a_slow_decode_drops_and_counts(engines: EngineSet) -> None:
    sink, frames = Recorder(), 40
    task = SlowTask(POINT, 0.12)
    summary = run(engines, lambda: synthetic(frames, live=True), [sink], task).summary()
    ids = sink.frame_ids
    assert ids == sorted(set(ids))
    assert ids[-1] == frames - 1, "the newest frame wins"
    assert summary.results == len(ids) < frames
    lost = sum(summary.dropped.values())
    assert lost == frames - len(ids)
    assert sum(sum(r.dropped.values()) for r in sink.results) == lost


def test_what_a_result_says_was_dropped_is_the_gap_before_it(engines: EngineSet) -> None:
    sink = Recorder()
    task = SlowTask(POINT, 0.12)
    run(engines, lambda: synthetic(40, live=True), [sink], task)
    ids = [-1, *sink.frame_ids]
    gaps = [b - a - 1 for a, b in itertools.pairwise(ids)]
    assert [sum(r.dropped.values()) for r in sink.results] == gaps


def test_a_live_frame_is_young_when_it_is_encoded(engines: EngineSet) -> None:
    """At 20 frames and 4 results a second, the encoder takes the newest frame, not an older."""
    sink = Recorder()
    task = SlowTask(POINT, 0.25)
    summary = run(engines, lambda: synthetic(40, live=True, fps=20.0), [sink], task).summary()
    assert summary.stages["wait"].p50_ms < 60, "older than one frame period and a bit"


def test_an_embedding_does_not_wait_for_a_slow_decoder(engines: EngineSet) -> None:
    """A frame is taken when the decoder will soon be ready: it is newer than what that has now."""
    sink = Recorder()
    run(engines, lambda: synthetic(60, live=True), [sink], SlowTask(POINT, 0.12))
    times = [(r.frame.captured_at_ns / 1e6, r.timings) for r in sink.results[3:-1]]
    begun = [at + t.age_ms - t.decode_ms - t.mask_ms for at, t in times]
    early = [begun[i] - at for i, (at, _) in enumerate(times[1:]) if at < begun[i]]
    assert not early, f"ms that frames were taken before the decoder had begun the last: {early}"


def test_a_slow_sink_loses_only_its_own_results_of_a_live_source(engines: EngineSet) -> None:
    fast, slow = Recorder("fast"), Recorder("slow", delay_s=0.3)
    summary = run(
        engines, lambda: synthetic(40, live=True, fps=40.0), [slow, fast], POINT
    ).summary()
    assert len(fast.results) == summary.results
    assert summary.sink_dropped == {"slow": summary.results - len(slow.results)}
    assert summary.sink_dropped["slow"] > 0
    assert slow.frame_ids == sorted(slow.frame_ids)
    assert slow.frame_ids[-1] == fast.frame_ids[-1]


def test_a_slow_sink_holds_a_finite_source_up_and_loses_nothing(engines: EngineSet) -> None:
    fast, slow = Recorder("fast"), Recorder("slow", delay_s=0.1)
    summary = run(engines, lambda: synthetic(8), [slow, fast]).summary()
    assert slow.frame_ids == fast.frame_ids == list(range(8))
    assert summary.sink_dropped == summary.dropped == {}


def test_no_loss_that_a_camera_counts_is_missed(engines: EngineSet) -> None:
    """`losses` may grow in another thread between two looks at it."""
    camera = LossyCamera(4, EndOfStream("no more"))
    summary = run(engines, lambda: camera, [Recorder()]).summary()
    looks = camera.losses["late"] - 1
    assert summary.dropped["late"] >= looks - 1, f"{looks} losses were shown"


def test_results_can_be_read_as_they_come(engines: EngineSet) -> None:
    plan = Plan(engines, lambda: synthetic(5), POINT)
    with Pipeline(plan, with_results=True) as pipeline:
        assert [r.frame.frame_id for r in pipeline.results()] == list(range(5))
    assert list(pipeline.results()) == []


def test_leaving_the_results_early_stops_the_run(engines: EngineSet) -> None:
    plan = Plan(engines, lambda: synthetic(None, live=True), POINT)
    started = time.monotonic()
    with Pipeline(plan, with_results=True) as pipeline:
        next(pipeline.results())
    assert time.monotonic() - started < DEADLINE_S / 2


def test_results_need_to_be_asked_for(engines: EngineSet) -> None:
    with pytest.raises(ValueError, match="with_results"):
        next(Pipeline(Plan(engines, synthetic, POINT)).results())


def test_a_silent_camera_does_not_keep_the_run_from_stopping(engines: EngineSet) -> None:
    camera = FailingCamera(1, None, live=True)
    pipeline = Pipeline(Plan(engines, lambda: camera, POINT, [Recorder().plan]))
    started = time.monotonic()
    with pipeline:
        while pipeline.info is None:
            time.sleep(0.01)
        time.sleep(0.2)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert camera.closed_in == "capture", "the thread that reads a device closes it"
