"""Camera, encode, decode and sinks as threads; start, stop, and one error at the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from edgesam_rt.cameras.base import Camera
from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import EdgeSamError, PipelineError, as_ours
from edgesam_rt.pipeline import stages
from edgesam_rt.pipeline.change import Opening, change_lanes
from edgesam_rt.pipeline.decode import decode
from edgesam_rt.pipeline.encode import encode
from edgesam_rt.pipeline.lanes import Lane, Lanes
from edgesam_rt.pipeline.metrics import Metrics, Summary, peak_memory_mib
from edgesam_rt.pipeline.stages import Encoded, Limits, Shared
from edgesam_rt.pipeline.surroundings import tells_heat, watch
from edgesam_rt.pipeline.work import Task
from edgesam_rt.records import Frame, Result
from edgesam_rt.sinks.base import RunInfo, Sink
from edgesam_rt.slot import Closed, Slot
from edgesam_rt.system.probes import Probes, Readings

CAMERA_CAPACITY = 1  # the newest frame
EMBEDDING_CAPACITY = 1  # the encoder may not run ahead
LANE_CAPACITY = 2
JOIN_TIMEOUT_S = 30.0  # how long a stage may take to finish what it has in hand
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SinkPlan:
    """A sink not opened yet.

    Attributes:
        name: of the sink; one that stays through a change is known by it.
        open: opens it.
        place: what no other sink may hold meanwhile, as a file or a port; "" if nothing.
    """

    name: str
    open: Callable[[RunInfo], Sink]
    place: str = ""


@dataclass(frozen=True)
class Plan:
    """A run not started yet: factories, not devices.

    Attributes:
        engines: what to run.
        open_camera: opens the source, in the thread that reads it.
        task: what is asked of every frame.
        sinks: opened in their own threads, at the first result.
        budget_ms: capture to result; 0 for none.
        limits: when to end.
        outlives_sinks: a sink that cannot write loses that result, counted, and the run goes on;
            else it ends the run.
    """

    engines: EngineSet
    open_camera: Callable[[], Camera]
    task: Task
    sinks: Sequence[SinkPlan] = ()
    budget_ms: float = 0.0
    limits: Limits = field(default_factory=Limits)
    outlives_sinks: bool = False


class Pipeline:
    """One run of a plan.

    Use it as a context manager: leaving it stops the run, waits for the threads, and raises the
    first error of any stage, once.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        with_results: bool = False,
        on_result: Callable[[Result], None] | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        """Prepare a run; nothing is opened until `start`.

        Args:
            plan: what to run.
            with_results: whether `results` will be read; if it is not, they would pile up.
            on_result: told of every result by the thread that makes them; must be quick.
            clock: for tests.
        """
        self._plan = plan
        self._shared = Shared(
            plan.engines,
            clock,
            plan.budget_ms,
            on_result=on_result,
            outlives_sinks=plan.outlives_sinks,
        )
        self._frames: Slot[Frame] = Slot(
            CAMERA_CAPACITY, on_drop=partial(self._shared.metrics.drop, "newer frame")
        )
        self._encoded: Slot[Encoded] = Slot(EMBEDDING_CAPACITY)
        sinks = [_lane_of(sink) for sink in plan.sinks]
        self._sink_plans = {sink.name: sink for sink in plan.sinks}
        self._own = Lane("stream", Slot(LANE_CAPACITY)) if with_results else None
        self._lanes = Lanes([*sinks, self._own] if self._own else sinks)
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._error_lock = threading.Lock()
        self._started_ns = 0
        self._wall_s = 0.0

    @property
    def info(self) -> RunInfo | None:
        """What the source says of itself; None until it is open."""
        done = self._shared.info.done() and not self._shared.info.cancelled()
        return self._shared.info.result() if done else None

    @property
    def camera_health(self) -> CameraHealth:
        """How the camera was when it was last read, half a second ago at most."""
        return self._shared.metrics.camera

    @property
    def budget_ms(self) -> float:
        """Capture to result; 0 for none."""
        return self._plan.budget_ms

    @property
    def metrics(self) -> Metrics:
        """Its counters and times, to be read."""
        return self._shared.metrics

    @property
    def readings(self) -> Readings:
        """What the board's sensors said, a few seconds ago at most; empty before the first."""
        return self._shared.readings

    @property
    def has_started(self) -> bool:
        """Whether the threads were started; until then there is nothing to summarise."""
        return bool(self._threads)

    @property
    def results_made(self) -> int:
        """Results so far."""
        return self._shared.metrics.results

    @property
    def frames_lost(self) -> int:
        """Frames lost so far, for any reason."""
        return sum(self._shared.metrics.dropped.values())

    @property
    def results_lost(self) -> int:
        """Results that sinks could not take so far."""
        return self._shared.metrics.results_lost

    def start(self) -> None:
        """Test the engines, then start all threads.

        Raises:
            SelfTestError: an engine gives wrong answers; nothing was started.
        """
        plan, shared, lanes = self._plan, self._shared, self._lanes
        plan.engines.trust_all()
        self._started_ns = shared.clock.now_ns()
        self._spawn(
            "capture",
            lambda: stages.capture(shared, plan.open_camera, self._frames, lanes, plan.limits),
        )
        self._spawn("encode", lambda: encode(shared, self._frames, self._encoded, plan.task))
        self._spawn("decode", lambda: decode(shared, self._encoded, plan.task, lanes))
        probes = Probes.of(plan.engines.board) if tells_heat(plan.engines.board) else None
        if probes is not None or plan.budget_ms:
            self._spawn("surroundings", lambda: watch(shared, probes))
        for sink_plan, lane in zip(plan.sinks, lanes, strict=False):  # the own lane is the last
            self._spawn(f"sink {lane.name}", self._sink_job(sink_plan, lane))

    def change_sinks(self, plans: Sequence[SinkPlan]) -> None:
        """Write to these sinks from now on; those that stay, by name, are not touched.

        Raises:
            PipelineError: no frame came yet, or a sink did not open in time.
            EdgeSamError: a new sink cannot be opened; all is as it was.
        """
        if self.info is None:
            raise PipelineError("sinks cannot be changed before the camera is open.")
        here = {lane.name: lane for lane in self._lanes if lane is not self._own}
        wanted = {plan.name: plan for plan in plans}
        known = {**self._sink_plans, **wanted}
        change_lanes(self._lanes, here, known, wanted, self._spawn_opening)
        self._sink_plans = wanted

    def stop(self) -> None:
        """Ask the run to end: no new frames, what is on its way is finished. Safe in a signal."""
        self._shared.stop.set()

    def results(self) -> Iterator[Result]:
        """Results as they come, until the run ends. Needs `with_results`."""
        if self._own is None:
            raise ValueError("Pipeline(..., with_results=True) is needed to read results")
        while True:
            try:
                yield self._own.slot.get()
            except Closed:
                return

    def wait(self, timeout_s: float) -> bool:
        """Wait until all threads have ended; False if that took longer."""
        deadline = self._shared.clock.now_ns() + int(timeout_s * 1e9)
        for thread in self._threads:
            thread.join(max(0.0, (deadline - self._shared.clock.now_ns()) / 1e9))
        done = not any(t.is_alive() for t in self._threads)
        if done and not self._wall_s:
            self._wall_s = elapsed_ms(self._started_ns, self._shared.clock) / 1e3
        return done

    def finish(self) -> None:
        """Stop, wait for the threads, and raise the first error of any stage.

        Raises:
            EdgeSamError: what a stage raised on purpose.
            PipelineError: anything else a stage raised, with the frame it had in hand; or a stage
                that did not end in time.
        """
        self.stop()
        if self._own is not None:
            self._own.slot.close(discard=True)
        if not self.wait(JOIN_TIMEOUT_S):
            stuck = ", ".join(t.name for t in self._threads if t.is_alive())
            raise PipelineError(f"stopping: {stuck} did not end within {JOIN_TIMEOUT_S:g} s.")
        error, self._error = self._error, None
        if error is not None:
            raise error

    def summary(self) -> Summary:
        """Figures of the run so far; complete after `finish`."""
        metrics, engines = self._shared.metrics, self._plan.engines
        wall_s = self._wall_s
        if self._started_ns and not wall_s:
            wall_s = elapsed_ms(self._started_ns, self._shared.clock) / 1e3
        return Summary(
            frames=metrics.frames,
            results=metrics.results,
            wall_s=round(wall_s, 3),
            fps=round(metrics.results / wall_s, 2) if wall_s else 0.0,
            stages=metrics.percentiles(),
            dropped=metrics.dropped,
            sink_dropped=dict(metrics.sink_dropped),
            late=metrics.late,
            ladder=dict(metrics.ladder),
            peak_memory_mib=peak_memory_mib(),
            backend=engines.options.backend,
            bundle=engines.bundle.label,
            board=engines.board.name,
            threads=engines.options.backend_options.threads,
            encoder_sides=self._sides_used(),
            passed_over=dict(engines.passed_over),
            reconnects=metrics.camera.reconnects,
            camera_breaks=dict(metrics.camera.breaks),
            degraded={f"{name}: {why}": n for (name, why), n in metrics.degraded.items()},
            reused=dict(metrics.reused),
        )

    def _sides_used(self) -> tuple[int, ...]:
        """Encoder sides of the steps that were used, px, largest first."""
        used = {self._shared.steps[step].encoder_side for step in self._shared.metrics.ladder}
        return tuple(sorted(used, reverse=True))

    def __enter__(self) -> Pipeline:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish; the body's own error, if any, comes first."""
        try:
            self.finish()
        except EdgeSamError:
            if error is None:
                raise

    def _spawn(self, name: str, job: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(job,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _spawn_opening(self, plan: SinkPlan) -> Opening:
        """Start a sink that opens at once; the future tells how that went."""
        lane, opened = _lane_of(plan), Future[None]()

        def job() -> None:
            try:
                sink = plan.open(self._shared.info.result())
            except Exception as error:  # noqa: BLE001 - whoever asked for the sink is told
                opened.set_exception(as_ours(error))
                return
            opened.set_result(None)
            with closing(sink):
                self._sink_job(SinkPlan(plan.name, lambda _: sink), lane)()

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._spawn(f"sink {plan.name}", job)
        return lane, opened

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001  every thread's error ends the run, once
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        name = threading.current_thread().name
        frame_id = self._shared.in_hand.get(name)
        if not isinstance(error, EdgeSamError):
            where = f" at frame {frame_id}" if frame_id is not None else ""
            wrapped = PipelineError(
                f"{name}{where}: {type(error).__name__}: {error}", frame_id=frame_id, exit_code=70
            )
            wrapped.__cause__ = error
            error = wrapped
        with self._error_lock:
            first = self._error is None
            if first:
                self._error = error
                error.frame_id = error.frame_id if error.frame_id is not None else frame_id
        if first:
            log.debug("stage %s failed", name, exc_info=error)
        # What lies before the failed stage is given up, what lies behind it is still finished.
        self._shared.stop.set()
        if name in ("encode", "decode"):
            self._frames.close(discard=True)
        if name == "decode":
            self._encoded.close(discard=True)

    def _sink_job(self, plan: SinkPlan, lane: Lane) -> Callable[[], None]:
        def job() -> None:
            try:
                stages.sink(self._shared, plan.open, lane)
            finally:
                lane.ended.set()
                lanes = tuple(self._lanes)
                if self._own is None and lanes and all(each.slot.is_closed for each in lanes):
                    self._shared.stop.set()  # nobody is left who wants results

        return job


def _lane_of(plan: SinkPlan) -> Lane:
    return Lane(plan.name, Slot(LANE_CAPACITY), plan.place)
