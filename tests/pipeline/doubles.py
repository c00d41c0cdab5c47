"""Plans with the bundled engine, and cameras, sinks, tasks and engines that are slow or fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgesam_rt.cameras.parts import CameraParts
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.clock import CLOCK
from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.pipeline import Pipeline, Plan, SinkPlan
from edgesam_rt.pipeline.stages import Limits
from edgesam_rt.pipeline.task import Prompts, PromptTask, Task, Work
from edgesam_rt.records import Embedding, Frame, MaskSet, Prompt, Result
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.memory import MemorySink
from edgesam_rt.types import U8

SIZE_WH = (96, 64)
DEADLINE_S = 20.0  # for what takes a second on an idle machine
POINT = PromptTask(Prompts((Prompt.point(48, 32),)))


class Boom(Exception):
    """What no stage expects."""


def synthetic(frames: int | None = 6, *, live: bool = False, fps: float = 50.0) -> SyntheticCamera:
    return SyntheticCamera(size_wh=SIZE_WH, frames=frames, live=live, fps=fps)


class FailingCamera(CameraParts):
    """Gives `good` frames, then raises `error`; never if it is None: then it falls silent."""

    def __init__(self, good: int, error: Exception | None, *, live: bool = False) -> None:
        super().__init__("failing:", clock=CLOCK, size_wh=SIZE_WH, live=live)
        self._inner = synthetic(10**9)
        self._good = good
        self._error = error
        self.closed_in = ""

    def read(self, timeout_s: float) -> Frame | None:
        if self._good == 0:
            if self._error is not None:
                raise self._error
            time.sleep(timeout_s)
            return None
        self._good -= 1
        if self.live:
            time.sleep(0.01)
        return self._inner.read(timeout_s)

    def close(self) -> None:
        self.closed_in = threading.current_thread().name
        super().close()


class LossyCamera(FailingCamera):
    """Loses a frame in another thread whenever somebody looks, as a grabbing thread may."""

    def __init__(self, good: int, error: Exception) -> None:
        self._lost = 0
        super().__init__(good, error)

    @property
    def losses(self) -> Mapping[str, int]:
        self._lost += 1
        return {"late": self._lost}

    @losses.setter
    def losses(self, value: Mapping[str, int]) -> None:
        """The base sets its own; this one counts by itself."""


@dataclass
class Recorder:
    """A sink and its opening. It may be slow, and fail at the n-th write or when it is opened."""

    name: str = "memory:"
    delay_s: float = 0.0
    fails_at: int | None = None
    error: Exception = field(default_factory=lambda: Boom("sink"))
    fails_to_open: bool = False
    info: RunInfo | None = None
    inner: MemorySink = field(default_factory=MemorySink)

    def open(self, info: RunInfo) -> Recorder:
        if self.fails_to_open:
            raise self.error
        self.info = info
        return self

    def write(self, result: Result) -> None:
        time.sleep(self.delay_s)
        if self.fails_at == len(self.inner.results):
            raise self.error
        self.inner.write(result)

    def close(self) -> None:
        self.inner.close()

    @property
    def plan(self) -> SinkPlan:
        return SinkPlan(self.name, self.open)

    @property
    def results(self) -> list[Result]:
        return self.inner.results

    @property
    def frame_ids(self) -> list[int]:
        return [r.frame.frame_id for r in self.results]


@dataclass(frozen=True)
class SlowTask:
    """Another task with a wait before every answer."""

    inner: Task
    delay_s: float

    @property
    def mode(self) -> str:
        return self.inner.mode

    def open(self, engines: EngineSet) -> None:
        self.inner.open(engines)

    def close(self) -> None:
        self.inner.close()

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        return self.inner.prompts_for(frame)

    def answer(self, decoder: Decoder, work: Work) -> MaskSet:
        time.sleep(self.delay_s)
        return self.inner.answer(decoder, work)


class HookedEncoder:
    """An encoder with something done before every run."""

    def __init__(self, inner: Encoder, hook: Callable[[int], None]) -> None:
        self._inner, self._hook, self.side = inner, hook, inner.side

    def encode(self, pixels: U8) -> Embedding:
        self._hook(self.side)
        return self._inner.encode(pixels)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True)
class HookedEngines(EngineSet):
    """The bundled engines with hooks: before each encoder run, and before a decoder is opened."""

    before_encode: Callable[[int], None] = lambda _: None
    before_open_decoder: Callable[[], None] = lambda: None

    def open_encoder(self, side: int) -> Encoder:
        hooked: Any = HookedEncoder(super().open_encoder(side), self.before_encode)
        return hooked  # type: ignore[no-any-return]

    def open_decoder(self) -> Decoder:
        self.before_open_decoder()
        return super().open_decoder()


def hooked(engines: EngineSet, **hooks: Any) -> HookedEngines:
    """Engines that are trusted already, with hooks."""
    return HookedEngines(
        engines.board, engines.bundle, engines.options, engines.sides, self_test=False, **hooks
    )


def at_frame(number: int, error: Exception) -> Callable[[int], None]:
    """A hook that raises when it is called for the n-th time, from 0."""
    calls = iter(range(10**9))

    def hook(_side: int) -> None:
        if next(calls) == number:
            raise error

    return hook


def run(
    engines: EngineSet,
    camera: Callable[[], Any],
    sinks: Sequence[Recorder] = (),
    task: Task = POINT,
    budget_ms: float = 0.0,
    limits: Limits | None = None,
) -> Pipeline:
    """Run a plan to its end and return the finished pipeline; raises what it raises."""
    plan = Plan(engines, camera, task, [s.plan for s in sinks], budget_ms, limits or Limits())
    pipeline = Pipeline(plan)
    with pipeline:
        assert pipeline.wait(DEADLINE_S), "the run did not end by itself"
    return pipeline
