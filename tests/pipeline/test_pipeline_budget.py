"""A budget moves a run to the smaller encoder under load, and back."""

from __future__ import annotations

import threading
import time

from edgesam_rt.clock import CLOCK
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import EndOfStream
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.records import Frame
from tests.pipeline.doubles import (
    DEADLINE_S,
    POINT,
    FailingCamera,
    Recorder,
    hooked,
    run,
    synthetic,
)

BUDGET_MS = 600.0
WARM_UP = 1  # encoder runs before the camera is opened


def test_it_goes_down_under_load_and_back_up(ladder_engines: EngineSet) -> None:
    """Side 512 is made to take 0.7 s until the first result at 384 is there."""
    is_loaded = threading.Event()
    is_loaded.set()

    def load(side: int) -> None:
        if side == 512 and is_loaded.is_set():
            time.sleep(0.7)

    engines = hooked(ladder_engines, before_encode=load)
    plan = Plan(engines, lambda: synthetic(None, live=True, fps=20), POINT, (), BUDGET_MS)
    seen: list[int] = []
    with Pipeline(plan, with_results=True) as pipeline:
        started = time.monotonic()
        for result in pipeline.results():
            assert result.encoder_side == (512, 384)[result.ladder_step]
            if result.ladder_step == 1:
                is_loaded.clear()
            if not seen or seen[-1] != result.encoder_side:
                seen.append(result.encoder_side)
            if seen == [512, 384, 512] or time.monotonic() - started > DEADLINE_S:
                break
    summary = pipeline.summary()
    assert seen == [512, 384, 512]
    assert summary.late >= 1
    assert set(summary.ladder) == {0, 1}
    assert sum(summary.ladder.values()) == summary.results


def test_a_cold_start_does_not_cost_quality(ladder_engines: EngineSet) -> None:
    """Engines take 0.5 s to open; the frames that wait for that must not move the ladder."""
    sink = Recorder()

    def slow_open() -> None:
        time.sleep(0.5)

    engines = hooked(ladder_engines, before_open_decoder=slow_open)
    run(engines, lambda: synthetic(8, live=True, fps=4), [sink], budget_ms=450.0)
    assert sink.results
    assert {r.ladder_step for r in sink.results} == {0}


def test_a_file_does_not_lose_quality_for_waiting_its_turn(ladder_engines: EngineSet) -> None:
    """A run takes 0.1 s, the budget is 0.25 s: only the queue makes frames of a file older."""
    sink = Recorder()
    engines = hooked(ladder_engines, before_encode=lambda _side: time.sleep(0.1))
    summary = run(engines, lambda: synthetic(12), [sink], budget_ms=300.0).summary()
    assert summary.results == 12
    assert set(summary.ladder) == {0}, "each frame alone keeps the budget"


class DelayedCamera(FailingCamera):
    """Stamps frames with the time at which they were taken, some time before they arrive."""

    delay_ms = 0.0

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        if frame is None:
            return None
        time.sleep(0.03)
        at_ns = CLOCK.now_ns() - round(self.delay_ms * 1e6)
        return Frame(frame.frame_id, frame.pixels, at_ns, frame.name, frame.capture_ms)


def test_a_camera_with_a_delay_of_its_own_still_gives_results(ladder_engines: EngineSet) -> None:
    """A network camera: 0.4 s old on arrival. With 0.5 s of budget no frame can make it."""

    def camera() -> DelayedCamera:
        found = DelayedCamera(90, EndOfStream("no more"), live=True)
        found.delay_ms = 400.0
        return found

    sink = Recorder()
    engines = hooked(ladder_engines, before_encode=lambda _side: time.sleep(0.15))
    summary = run(engines, camera, [sink], budget_ms=500.0).summary()
    told = f"{summary.results} of {summary.frames} frames, dropped {dict(summary.dropped)}"
    assert sink.frame_ids[-1] > 60, told


def test_late_frames_of_a_live_source_are_dropped_before_they_cost(engines: EngineSet) -> None:
    """A burst that waited 5 s while the camera hung: none of it is encoded."""
    calls: list[int] = []

    def camera() -> DelayedCamera:
        found = DelayedCamera(10, None, live=True)
        found.delay_ms = 5000.0
        return found

    plan = Plan(hooked(engines, before_encode=calls.append), camera, POINT, (), 500.0)
    pipeline = Pipeline(plan)
    with pipeline:
        for _ in range(200):  # 20 s: opening the engines takes long on a busy machine
            pipeline.wait(0.1)
            if sum(pipeline.summary().dropped.values()) + len(calls) - WARM_UP >= 10:
                break
    summary = pipeline.summary()
    encoded = len(calls) - WARM_UP
    assert summary.dropped["late"] + summary.dropped.get("newer frame", 0) + encoded == 10
    assert encoded <= 1, "unless nothing came through for long"
