"""One run: cases in rounds, sensors between them, and a report even if it is stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timezone

import msgspec

from edgesam_rt.api import Segmenter
from edgesam_rt.bench import accuracy, environment, fresh, power, reading
from edgesam_rt.bench.cases import SIZE_WH, Case, Frame, ManyPrompts, Opened, Start, Stream
from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.bench.doubts import doubts
from edgesam_rt.bench.found import Found
from edgesam_rt.bench.plan import Request, Size
from edgesam_rt.bench.report import (
    KIND,
    SCHEMA,
    Accuracy,
    Energy,
    Engines,
    Report,
    Settings,
)
from edgesam_rt.bundle import MANIFEST
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.engines import EngineSet, resolve

Progress = Callable[[str, int, int], None]


class Run:
    """One run of the benchmark.

    `measure` may be left by any exception, a KeyboardInterrupt too; `report` then gives what was
    measured until then.
    """

    def __init__(self, request: Request, clock: Clock = CLOCK) -> None:
        """Resolve names, and tie the process to cores; measures nothing yet.

        Raises:
            ConfigError, BundleError, BackendMissing: see `engines.resolve`.
        """
        self._request = request
        self._clock = clock
        if request.pinned:
            os.sched_setaffinity(0, request.pinned)
        first = self._resolve()
        sides = request.sides or (first.sides[:1] if request.quick else first.sides)
        threads = request.threads or (first.options.backend_options.threads,)
        self._sets = [self._resolve(side, n) for n in threads for side in sides]
        self._settings = Settings(
            board=first.board.name,
            sides=sides,
            threads=threads,
            pinned=request.pinned,
            spin=first.options.backend_options.spin,
            quick=request.quick,
            rounds=request.size.rounds,
            warm_up=request.size.warm_up,
            size_wh=SIZE_WH,
        )
        self._photos = CocoFolder(request.data, request.photos) if request.data else None
        self.found = Found()
        self.complete = False
        self._date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._started_ns = clock.now_ns()
        self._load = environment.load_average()
        self._neighbours = environment.Neighbours()

    def _resolve(self, side: int | None = None, threads: int | None = None) -> EngineSet:
        asked = self._request
        return resolve(
            board=asked.board,
            bundle_name=asked.bundle,
            backend=asked.backend,
            encoder_side=side,
            threads=threads,
        )

    def measure(self, progress: Progress) -> None:
        """Measure everything.

        Args:
            progress: told what is done next: its name, how many were done, of how many.
        """
        size, found = self._request.size, self.found
        self._read_sensors()
        meter = self._find_meter(size)
        with ExitStack() as stack:
            progress("opening the engines", 0, 0)
            cases = self._cases(stack, meter)
            total = size.rounds * len(cases)
            for case, repeats in cases if size.warm_up else ():
                progress(f"warm-up: {case.label}", 0, total)
                case.run(min(repeats, size.warm_up))
            for done in range(total):
                case, repeats = cases[done % len(cases)]
                progress(f"round {done // len(cases) + 1}: {case.label}", done, total)
                found.add(case.run(repeats))
                if (done + 1) % len(cases) == 0:
                    self._read_sensors()
            if self._photos is not None:
                found.accuracy = self._accuracy(self._photos, progress)
                self._read_sensors()
        self.complete = True

    def _accuracy(self, photos: CocoFolder, progress: Progress) -> Accuracy:
        sets = {one.sides[0]: one for one in self._sets}
        return accuracy.measure(sets, photos, lambda done: progress("photos", done, len(photos)))

    def _cases(self, stack: ExitStack, meter: power.Meter | None) -> list[tuple[Case, int]]:
        """Cases with their repeats per round; what they open is closed with the stack."""
        size = self._request.size
        opened = [
            Opened(
                stack.enter_context(Segmenter(one)),
                one.sides[0],
                one.options.backend_options.threads,
            )
            for one in self._sets
        ]
        first = self._sets[0]
        asked = fresh.Request(
            bundle=str(first.bundle.folder.resolve()),
            board=first.board.name,
            backend=first.options.backend,
            encoder_side=first.sides[0],
            threads=first.options.backend_options.threads,
        )
        start = Start(lambda: fresh.ask(asked), asked.encoder_side, asked.threads)
        return [
            (start, 1),
            *((Frame(one), size.pictures) for one in opened),
            *((ManyPrompts(opened[0], n), size.calls) for n in size.prompts),
            (Stream(first, meter), size.frames),
        ]

    def _find_meter(self, size: Size) -> power.Meter | None:
        meter, reason = power.find()
        idle = power.idle_watts(meter, size.idle_s) if meter else None
        self.found.energy = Energy(
            source=meter.source if meter else None,
            reason=reason,
            idle_w=None if idle is None else round(idle, 3),
        )
        return meter

    def _read_sensors(self) -> None:
        at_s = elapsed_ms(self._started_ns, self._clock) / 1e3
        self.found.readings.append(reading.read(at_s))

    def report(self) -> Report:
        """What was measured so far."""
        found = self.found
        made = Report(
            kind=KIND,
            schema=SCHEMA,
            date=self._date,
            complete=self.complete,
            seconds=round(elapsed_ms(self._started_ns, self._clock) / 1e3, 1),
            machine=environment.machine(),
            software=environment.software(),
            engines=_engines(self._sets[0]),
            settings=self._settings,
            power_mode=environment.power_mode(),
            load_average=self._load,
            others_cpu_share=self._neighbours.share(),
            readings=tuple(found.readings),
            series=found.series(),
            energy=found.energy,
            accuracy=found.accuracy,
        )
        return msgspec.structs.replace(made, warnings=doubts(made))


def _engines(chosen: EngineSet) -> Engines:
    bundle, backend = chosen.bundle, chosen.options.backend
    return Engines(
        bundle=bundle.label,
        precision=bundle.manifest.precision,
        backend=backend,
        sha256=hashlib.sha256((bundle.folder / MANIFEST).read_bytes()).hexdigest(),
        files={e.file: e.sha256 for e in bundle.manifest.engines if e.backend == backend},
    )
