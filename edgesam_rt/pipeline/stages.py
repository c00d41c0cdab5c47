"""What all threads of a run share; the threads that read the source and write to the sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass

from edgesam_rt.cameras.base import Camera
from edgesam_rt.clock import Clock, elapsed_ms
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConsumerGone, EndOfStream, ResultsLost, SinkError
from edgesam_rt.pipeline.budget import Budget
from edgesam_rt.pipeline.lanes import Lane, Lanes, SinkLosses
from edgesam_rt.pipeline.metrics import Metrics
from edgesam_rt.pipeline.reuse import Kept
from edgesam_rt.pipeline.turns import Turns
from edgesam_rt.records import Embedding, Frame, Result
from edgesam_rt.sinks.base import RunInfo, Sink
from edgesam_rt.slot import Closed, Slot
from edgesam_rt.system.probes import Readings

POLL_S = 0.05  # how often a waiting thread looks for a stop
READ_TIMEOUT_S = 0.5  # how long a silent camera may keep the capture thread from seeing a stop


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself; None is never."""

    max_frames: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, eq=False)
class Encoded:
    """What passes from encode to decode.

    Attributes:
        frame, embedding: the picture, and what is asked about it.
        step: of the ladder; reason: why it is not 0.
        started_ns: when the encoder took the frame.
        dropped: the frames lost just before this one.
        kept: how an earlier embedding serves for the frame; None: it has its own.
    """

    frame: Frame
    embedding: Embedding
    step: int
    reason: str
    started_ns: int
    dropped: Mapping[str, int]
    kept: Kept | None = None


class Shared:
    """What all stages of one run see.

    Attributes:
        steps: of the ladder; budget_ms: 0 is none, and only the first step is used.
        info, budget: known when the source is open.
        stop: no new frames; finished: no more results.
        in_hand: frame id by the name of the thread that works on it, for error messages.
        warm_up: an embedding to warm up the decoder with, once `encoder_open` is set.
        turns: of encoder and decoder.
        readings: of the board's sensors, a few seconds old at most.
    """

    def __init__(
        self,
        engines: EngineSet,
        clock: Clock,
        budget_ms: float = 0.0,
        *,
        on_result: Callable[[Result], None] | None = None,
        outlives_sinks: bool = False,
    ) -> None:
        self.engines = engines
        self.steps = engines.steps
        self.budget_ms = budget_ms
        self.clock = clock
        self.on_result = on_result
        self.outlives_sinks = outlives_sinks
        self.metrics = Metrics()
        self.stop = threading.Event()
        self.info: Future[RunInfo] = Future()
        self.budget: Future[Budget] = Future()
        self.in_hand: dict[str, int | None] = {}
        self.encoder_open = threading.Event()
        self.decoder_open = threading.Event()
        self.finished = threading.Event()
        self.warm_up: Embedding | None = None
        self.turns = Turns(self.stop, clock)
        self.readings = Readings()

    def wait_for_engines(self) -> bool:
        """Wait until both engines are open, so that no frame ages meanwhile; False if stopped."""
        return self.wait_for(self.encoder_open) and self.wait_for(self.decoder_open)

    def wait_for(self, event: threading.Event) -> bool:
        """Wait for an event; False if the run was stopped before."""
        while not event.wait(POLL_S):
            if self.stop.is_set():
                return False
        return True

    def hold(self, frame_id: int | None) -> None:
        """Note which frame this thread works on."""
        self.in_hand[threading.current_thread().name] = frame_id


def capture(
    shared: Shared,
    open_camera: Callable[[], Camera],
    out: Slot[Frame],
    lanes: Lanes,
    limits: Limits,
) -> None:
    """Read frames until the source or a limit ends, or the run is stopped."""
    try:
        if not shared.wait_for_engines():
            return
        with closing(open_camera()) as camera:
            _announce(shared, camera, out, lanes, limits)
            _read_all(shared, camera, out, limits)
    finally:
        out.close()


def _announce(
    shared: Shared, camera: Camera, out: Slot[Frame], lanes: Lanes, limits: Limits
) -> None:
    """Let the other stages know what kind of source this is."""
    if camera.live:
        out.policy = "drop_oldest"
        lanes.set_policy("drop_oldest")
    shared.budget.set_result(Budget(shared.budget_ms, shared.steps, may_drop=camera.live))
    length = camera.length
    if limits.max_frames is not None:
        length = min(length, limits.max_frames) if length is not None else limits.max_frames
    shared.info.set_result(RunInfo(camera.fps, length, camera.live, resumes=shared.outlives_sinks))


def _read_all(shared: Shared, camera: Camera, out: Slot[Frame], limits: Limits) -> None:
    metrics, started_ns = shared.metrics, shared.clock.now_ns()
    lost: Mapping[str, int] = {}
    while not shared.stop.is_set():
        if limits.max_frames is not None and metrics.frames >= limits.max_frames:
            return
        age_ms = elapsed_ms(started_ns, shared.clock)
        if limits.duration_s is not None and age_ms >= limits.duration_s * 1e3:
            return
        shared.hold(None)
        try:
            frame = camera.read(READ_TIMEOUT_S)
        except EndOfStream:
            return
        finally:
            now_lost = dict(camera.losses)
            for reason, count in now_lost.items():
                metrics.drop(reason, count - lost.get(reason, 0))
            lost = now_lost
            metrics.camera = camera.health
        if frame is None:
            continue
        metrics.frames += 1
        metrics.time("capture", frame.capture_ms)
        shared.hold(frame.frame_id)
        out.put(frame)


def sink(shared: Shared, open_sink: Callable[[RunInfo], Sink], lane: Lane) -> None:
    """Write every result of a lane, until the run ends or nobody reads them any more."""
    opened: Sink | None = None
    losses = SinkLosses(shared.metrics, shared.clock, lane.name)
    try:
        while True:
            try:
                result = lane.slot.get()
            except Closed:
                return
            opened = opened or open_sink(shared.info.result())
            shared.hold(result.frame.frame_id)
            started_ns = shared.clock.now_ns()
            try:
                opened.write(result)
            except ConsumerGone:
                return
            except ResultsLost as error:
                losses.add(error, error.count)
            except SinkError as error:
                if not shared.outlives_sinks:
                    raise
                losses.add(error)
            shared.metrics.time(f"sink {lane.name}", elapsed_ms(started_ns, shared.clock))
    finally:
        lane.slot.close(discard=True)
        if opened is not None:
            try:
                opened.close()
            except ResultsLost as error:
                losses.add(error, error.count)
