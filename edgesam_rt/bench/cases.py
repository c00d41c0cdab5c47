"""What is measured: each case takes its turn once per round and gives values by key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import edgesam_rt as es
from edgesam_rt.api import Segmenter
from edgesam_rt.bench import fresh
from edgesam_rt.bench.measure import Times, engine_clock
from edgesam_rt.bench.power import Meter
from edgesam_rt.bench.report import Unit
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.engines import EngineSet
from edgesam_rt.everything import grid
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.stages import Limits
from edgesam_rt.pipeline.task import Prompts, PromptTask
from edgesam_rt.types import U8

SIZE_WH = (640, 480)
POINT = es.Prompt.point(320, 240)
STARTING = 3  # results of a pipeline left out of its rate: queues fill, caches warm
# Engine parts as stages are called.
STAGES = {"scorer": "score", "mask_head": "mask head", "decoder": "decode"}


class Key(NamedTuple):
    """What a value is about; see `report.Series`."""

    case: str
    stage: str
    unit: Unit
    side: int | None = None
    threads: int | None = None
    prompts: int | None = None


Values = list[tuple[Key, float]]


class Case(Protocol):
    """Something to measure.

    Attributes:
        label: for people.
    """

    label: str

    def run(self, repeats: int) -> Values:
        """Measure so many times."""
        ...


def picture() -> U8:
    """The picture all is measured on, (480, 640, 3) uint8 RGB."""
    return SyntheticCamera(size_wh=SIZE_WH).draw(0)


def points(count: int) -> list[es.Prompt]:
    """So many point prompts, spread over the picture."""
    side = max(1, int(-(-(count**0.5) // 1)))
    spread = grid.points(side, (SIZE_WH[1], SIZE_WH[0]))[:count]
    return [es.Prompt.point(x, y) for x, y in spread.tolist()]


@dataclass(frozen=True)
class Opened:
    """Engines of one side with one number of threads."""

    segmenter: Segmenter
    side: int
    threads: int

    @property
    def where(self) -> str:
        """For people."""
        return f"side {self.side}, {self.threads} thread{'s' * (self.threads > 1)}"


class Frame:
    """One picture and one point, from pixels to the mask's run lengths, stage by stage."""

    def __init__(self, opened: Opened) -> None:
        self.label = f"stages, {opened.where}"
        self._opened = opened
        self._pixels = picture()

    def run(self, repeats: int) -> Values:
        """Stages of each picture, ms; "total" is their sum."""
        side, threads = self._opened.side, self._opened.threads
        return [
            (Key("frame", stage, "ms", side, threads, 1), ms)
            for _ in range(repeats)
            for stage, ms in self._once().items()
        ]

    def _once(self) -> dict[str, float]:
        one, times = self._opened.segmenter, Times()
        with engine_clock() as clock:
            embedding = times.run(lambda: one.encode(self._pixels))
            found = times.run(lambda: one.predict(embedding, POINT))
            times.run(lambda: (found.masks, found.rle()))
            engines = clock.take()
        encode, predict, post = times.wall
        inside = engines.pop("encoder")
        return {
            "fit": encode - inside,
            "encode": inside,
            "prompt": predict - sum(engines.values()),
            **{STAGES[part]: ms for part, ms in engines.items()},
            "post": post,
            "total": sum(times.wall),
        }


class ManyPrompts:
    """Many points about one picture in one call, without the encoder."""

    def __init__(self, opened: Opened, count: int) -> None:
        self.label = f"{count} prompts, {opened.where}"
        self._opened = opened
        self._prompts = points(count)
        self._embedding = opened.segmenter.encode(picture())

    def run(self, repeats: int) -> Values:
        """Milliseconds per call, all prompts together."""
        out: Values = []
        side, threads, count = self._opened.side, self._opened.threads, len(self._prompts)
        for _ in range(repeats):
            times = Times()
            with engine_clock() as clock:
                times.run(lambda: self._opened.segmenter.predict(self._embedding, self._prompts))
                parts = {STAGES[part]: ms for part, ms in clock.take().items()}
            for stage, ms in {**parts, "total": times.wall[0]}.items():
                out.append((Key("prompts", stage, "ms", side, threads, count), ms))
        return out


class Stream:
    """The pipeline on synthetic frames: rate, age of results, and energy where there is a meter."""

    def __init__(self, engines: EngineSet, meter: Meter | None) -> None:
        self._engines = engines
        self._meter = meter
        self._side = engines.sides[0]
        self._threads = engines.options.backend_options.threads
        self.label = f"pipeline, side {self._side}"

    def run(self, repeats: int) -> Values:
        """Run so many frames and the starting ones."""
        frames = repeats + STARTING
        if self._meter is None:
            return self._steady(_run(self._plan(frames)))
        with self._meter.measure() as spent:
            rows = _run(self._plan(frames))
        key = Key("energy", "pipeline", "J", self._side, self._threads, 1)
        return [
            *self._steady(rows),
            (key, spent.joules / len(rows)),
            (key._replace(unit="W"), spent.watts),
        ]

    def _plan(self, frames: int) -> Plan:
        return Plan(
            engines=self._engines,
            open_camera=lambda: SyntheticCamera(size_wh=SIZE_WH, frames=frames),
            task=PromptTask(Prompts((POINT,))),
            limits=Limits(max_frames=frames),
        )

    def _steady(self, rows: list[tuple[int, float]]) -> Values:
        done_ns, ages = zip(*rows[STARTING:], strict=True)
        key = Key("pipeline", "age", "ms", self._side, self._threads, 1)
        out = [(key, age) for age in ages]
        if len(done_ns) > 1:
            rate = (len(done_ns) - 1) * 1e9 / (done_ns[-1] - done_ns[0])
            out.append((key._replace(stage="rate", unit="fps"), rate))
        return out


def _run(plan: Plan) -> list[tuple[int, float]]:
    """When each result was there, ns, and how old it was, ms."""
    with Pipeline(plan, with_results=True) as pipeline:
        return [
            (round(r.frame.captured_at_ns + r.timings.age_ms * 1e6), r.timings.age_ms)
            for r in pipeline.results()
        ]


class Start:
    """A fresh process: how long until its first result, and how much memory it takes."""

    def __init__(self, ask: Callable[[], fresh.Figures], side: int, threads: int) -> None:
        self.label = f"start and memory, side {side}"
        self._ask = ask
        self._where = (side, threads, 1)

    def run(self, repeats: int) -> Values:
        """Once, whatever `repeats` says: these processes take seconds."""
        found = self._ask()
        return [
            *(
                (Key("start", stage, "ms", *self._where), ms)
                for stage, ms in found.start_ms.items()
            ),
            *(
                (Key("memory", stage, "MiB", *self._where), mib)
                for stage, mib in found.peak_mib.items()
            ),
        ]
