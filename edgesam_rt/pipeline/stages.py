"""What each thread of the pipeline does, and what passes between them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace

from edgesam_rt.cameras.base import Camera
from edgesam_rt.clock import Clock, elapsed_ms
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConsumerGone, EndOfStream, PromptError, SinkError
from edgesam_rt.pipeline.budget import Budget
from edgesam_rt.pipeline.lanes import Lane, Lanes, SinkLosses
from edgesam_rt.pipeline.metrics import Metrics
from edgesam_rt.pipeline.slot import Closed, Slot
from edgesam_rt.pipeline.task import Task, Work
from edgesam_rt.records import Embedding, Frame, MaskSet, Result, Timings
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.sinks.base import RunInfo, Sink

POLL_S = 0.05  # how often a waiting thread looks for a stop
READ_TIMEOUT_S = 0.5  # how long a silent camera may keep the capture thread from seeing a stop
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself; None is never."""

    max_frames: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, eq=False)
class Encoded:
    """What passes from encode to decode; `dropped` are the frames lost just before this one."""

    frame: Frame
    embedding: Embedding
    step: int
    started_ns: int
    dropped: Mapping[str, int]


class Shared:
    """What all stages of one run see."""

    def __init__(
        self,
        engines: EngineSet,
        clock: Clock,
        *,
        on_result: Callable[[Result], None] | None = None,
        outlives_sinks: bool = False,
    ) -> None:
        self.engines = engines
        self.clock = clock
        self.on_result = on_result
        self.outlives_sinks = outlives_sinks
        self.metrics = Metrics()
        self.stop = threading.Event()
        self.info: Future[RunInfo] = Future()
        self.budget: Future[Budget] = Future()
        self.in_hand: dict[str, int | None] = {}  # thread name to frame id, for error messages
        self.encoder_open = threading.Event()
        self.decoder_open = threading.Event()

    def wait_for_engines(self) -> bool:
        """Wait until both engines are open, so that no frame ages meanwhile; False if stopped."""
        for opened in (self.encoder_open, self.decoder_open):
            while not opened.wait(POLL_S):
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
    budget_ms: float,
) -> None:
    """Read frames until the source or a limit ends, or the run is stopped."""
    try:
        if not shared.wait_for_engines():
            return
        with closing(open_camera()) as camera:
            _announce(shared, camera, out, lanes, limits, budget_ms)
            _read_all(shared, camera, out, limits)
    finally:
        out.close()


def _announce(
    shared: Shared,
    camera: Camera,
    out: Slot[Frame],
    lanes: Lanes,
    limits: Limits,
    budget_ms: float,
) -> None:
    """Let the other stages know what kind of source this is."""
    if camera.live:
        out.policy = "drop_oldest"
        lanes.set_policy("drop_oldest")
    steps = len(shared.engines.sides)
    shared.budget.set_result(Budget(budget_ms, steps, may_drop=camera.live))
    length = camera.length
    if limits.max_frames is not None:
        length = min(length, limits.max_frames) if length is not None else limits.max_frames
    shared.info.set_result(RunInfo(camera.fps, length, camera.live))


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


def encode(shared: Shared, source: Slot[Frame], out: Slot[Encoded]) -> None:
    """Encode the frames that can still make it, at the step the budget allows."""
    sides = shared.engines.sides
    encoders: dict[int, Encoder] = {}
    lost: Counter[str] = Counter()  # before the frame in hand, and since the last result

    def count_lost() -> None:
        lost.update(shared.metrics.take_dropped())

    try:
        encoders[0] = shared.engines.open_encoder(sides[0])
        shared.encoder_open.set()
        while True:
            frame = source.get(then=count_lost)
            shared.hold(frame.frame_id)
            waited_ms = elapsed_ms(frame.captured_at_ns, shared.clock)
            verdict = shared.budget.result().judge(waited_ms)
            if verdict.is_late:
                shared.metrics.drop("late")
                continue
            if verdict.step not in encoders:
                encoders[verdict.step] = shared.engines.open_encoder(sides[verdict.step])
            started_ns = shared.clock.now_ns()
            embedding = encoders[verdict.step].encode(frame.pixels)
            shared.metrics.time("wait", waited_ms)
            out.put(Encoded(frame, embedding, verdict.step, started_ns, dict(lost)))
            lost.clear()
    finally:
        for encoder in encoders.values():
            encoder.close()
        out.close()


def decode(shared: Shared, source: Slot[Encoded], task: Task, lanes: Lanes) -> None:
    """Answer the prompts on every embedding and hand the results to all lanes."""
    try:
        with closing(shared.engines.open_decoder()) as decoder, closing(task):
            task.open(shared.engines)
            shared.decoder_open.set()
            while True:
                item = source.get()
                shared.hold(item.frame.frame_id)
                _hand_out(shared, _answer(shared, decoder, item, task), lanes)
    finally:
        lanes.close()


def _answer(shared: Shared, decoder: Decoder, item: Encoded, task: Task) -> Result:
    """One embedding to a finished result."""
    started_ns = shared.clock.now_ns()
    prompts = task.prompts_for(item.frame)
    work = Work(item.frame, item.embedding, prompts, _deadline_ns(shared, item))
    try:
        masks = task.answer(decoder, work)
    except PromptError as error:
        raise PromptError(f"frame {item.frame.name}: {error}") from error
    decoded_ns = shared.clock.now_ns()
    _ = masks.runs  # brings the masks to picture size: a result is complete when it leaves
    result = Result(
        frame=item.frame,
        masks=masks,
        object_ids=_object_ids(masks),
        prompts=prompts,
        timings=Timings(
            capture_ms=item.frame.capture_ms,
            fit_ms=item.embedding.fit_ms,
            encode_ms=item.embedding.encode_ms,
            decode_ms=(decoded_ns - started_ns) / 1e6,
            mask_ms=elapsed_ms(decoded_ns, shared.clock),
        ),
        backend=item.embedding.backend,
        bundle=item.embedding.bundle,
        encoder_side=item.embedding.encoder_side,
        ladder_step=item.step,
        dropped=item.dropped,
    )
    return _aged(shared, result, item)


def _object_ids(masks: MaskSet) -> tuple[int, ...]:
    """Names of the objects, one per mask."""
    if masks.tracks:
        return tuple(track.track_id for track in masks.tracks)
    return tuple(range(1, len(masks) + 1))


def _deadline_ns(shared: Shared, item: Encoded) -> int | None:
    """When the masks of a frame must be there; bringing them to picture size comes after it."""
    budget_ms = shared.budget.result().budget_ms
    if not budget_ms:
        return None
    since = item.frame.captured_at_ns if shared.info.result().live else item.started_ns
    return int(since + (budget_ms - shared.metrics.typical_ms("mask")) * 1e6)


def _aged(shared: Shared, result: Result, item: Encoded) -> Result:
    """The finished result with its age, counted and made known to the budget."""
    now_ns = shared.clock.now_ns()
    age_ms = (now_ns - item.frame.captured_at_ns) / 1e6
    budget, metrics = shared.budget.result(), shared.metrics
    cost_ms = (now_ns - item.started_ns) / 1e6
    # A file's frames are read ahead; their wait for the engines says nothing of the engines.
    budgeted_ms = age_ms if shared.info.result().live else cost_ms
    budget.learn(cost_ms, budgeted_ms, item.step, now_ns / 1e9)
    timings = replace(result.timings, age_ms=age_ms)
    for name in ("fit", "encode", "decode", "mask", "age"):
        metrics.time(name, getattr(timings, f"{name}_ms"))
    metrics.results += 1
    metrics.ladder[item.step] += 1
    metrics.late += int(0 < budget.budget_ms < budgeted_ms)
    return replace(result, timings=timings)


def _hand_out(shared: Shared, result: Result, lanes: Lanes) -> None:
    for lane in lanes:
        with contextlib.suppress(Closed):  # a sink that failed or whose reader has gone
            shared.metrics.sink_drop(lane.name, len(lane.slot.put(result)))
    if shared.on_result is not None:
        shared.on_result(result)


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
            except SinkError as error:
                if not shared.outlives_sinks:
                    raise
                losses.add(error)
            shared.metrics.time(f"sink {lane.name}", elapsed_ms(started_ns, shared.clock))
    finally:
        lane.slot.close(discard=True)
        if opened is not None:
            opened.close()
