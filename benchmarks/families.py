"""A published family's engines: time of its encoders against upstream's own export, what is float.

One call measures one family and puts its row into the result file, so that several calls, or an
interrupted series of them, fill one table:

    python -m benchmarks.families --fp32 B --int8 B --upstream ENCODER.onnx --json RESULT.json

Encoders take turns on the same picture. What INT8 is worth is read from the bundle: its build
compared it with float torch. The weights of these families are others' and made-up ones do here:
speed does not depend on them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import edgesam_rt as es
from benchmarks import environment, kernels, report
from edgesam_rt import bundle as bundles
from edgesam_rt.backends.base import Feeds
from edgesam_rt.bench import measure
from edgesam_rt.bench.cases import picture, points
from edgesam_rt.bench.environment import Neighbours
from edgesam_rt.bench.measure import series
from edgesam_rt.bundle import Bundle
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError

BACKEND = "onnxruntime"
MANY = 64
WARM_UP = 1
UPSTREAM, FP32, INT8 = "upstream", "fp32", "int8"


@dataclass(frozen=True)
class Encoder:
    """An encoder's file, and a picture as it takes it."""

    path: Path
    feed: Feeds

    def opened(self, threads: int) -> measure.Work:
        """A run of it."""
        return partial(_session(self.path, threads).run, None, dict(self.feed))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def of_file(path: Path) -> Encoder:
    """One that others exported: a picture of noise, bytes or normalised."""
    (given,) = _session(path, threads=1).get_inputs()
    random = np.random.default_rng(0)
    if given.type == "tensor(uint8)":
        return Encoder(path, {given.name: random.integers(0, 256, given.shape, np.uint8)})
    return Encoder(path, {given.name: random.standard_normal(given.shape, np.float32)})


def of_bundle(bundle: Bundle) -> Encoder:
    """A bundle's, at its largest side."""
    side = bundle.sides(BACKEND)[0]
    return of_file(bundle.path(bundle.engine("encoder", BACKEND, side)))


def speed(encoders: dict[str, Encoder], threads: int, repeats: int) -> dict[str, Any]:
    """Times in ms by what it is, all in turns."""
    works = {name: one.opened(threads) for name, one in encoders.items()}
    times = measure.interleave(works, warm_up=WARM_UP, repeats=repeats)
    return {name: series(found.wall) for name, found in times.items()}


def decoder_ms(bundle: Bundle, threads: int, repeats: int) -> dict[str, float]:
    """Of one call about many points."""
    with es.open(bundle.folder, backend=BACKEND, threads=threads) as one:
        work = partial(one.predict, one.encode(picture()), points(MANY))
        return series(measure.repeat(work, warm_up=WARM_UP, repeats=repeats).wall)


def row(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measure one family.

    Raises:
        ConfigError: the two bundles are not of one family.
    """
    exact = bundles.find(str(args.fp32))
    found = {FP32: of_bundle(exact)}
    if args.upstream is not None:
        found = {UPSTREAM: of_file(args.upstream), **found}
    made = bundles.find(str(args.int8)) if args.int8 is not None else None
    if made is not None:
        if made.manifest.family != exact.manifest.family:
            raise ConfigError(
                f"--int8 {args.int8} is {made.manifest.family}, --fp32 {args.fp32} is "
                f"{exact.manifest.family}: name two bundles of one family."
            )
        found[INT8] = of_bundle(made)
    neighbours = Neighbours()
    figures: dict[str, Any] = {"ms": speed(found, args.threads, args.repeats)}
    figures["others_cpu_share"] = neighbours.share()
    if made is not None:
        least = {name: times["min"] for name, times in figures["ms"].items()}
        figures["ratio"] = round(least[FP32] / least[INT8], 3)
        one = found[INT8]
        figures["kernels"] = kernels.profile(one.path, one.feed, args.threads).figures()
        side = made.sides(BACKEND)[0]
        figures["quality"] = made.manifest.verification[f"side_{side}"]
    if args.points:
        figures[f"points_{MANY}_ms"] = decoder_ms(exact, args.threads, args.repeats)
    return args.name or exact.manifest.family, figures


def earlier(path: Path | None, threads: int) -> dict[str, Any]:
    """The rows of an earlier result file; none where there is no file.

    Raises:
        ConfigError: they were measured on another machine, or with other threads.
    """
    if path is None or not path.is_file():
        return {}
    old = report.read(path)
    now = {**environment.collect(), "onnxruntime": ort.__version__, "threads": threads}
    before = {**old.environment, "threads": old.figures["threads"]}
    for what in ("cpu", "cores_usable", "onnxruntime", "threads"):
        if before[what] != now[what]:
            raise ConfigError(
                f"{path}: its rows were measured with {what} = {before[what]!r}, here it is "
                f"{now[what]!r}. They cannot stand in one table; name another --json."
            )
    rows: dict[str, Any] = old.figures["families"]
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.families",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--fp32", type=Path, required=True, metavar="BUNDLE")
    p.add_argument("--int8", type=Path, metavar="BUNDLE")
    p.add_argument("--upstream", type=Path, metavar="ONNX", help="the encoder as they export it")
    p.add_argument("--name", help="of the row; default: the family")
    p.add_argument("--points", action="store_true", help=f"also time {MANY} points in one call")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repeats", type=int, default=5, metavar="N")
    p.add_argument("--json", type=Path, metavar="FILE", help="add the row to this file")
    return run_command(lambda: _run(p.parse_args(argv)))


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("families", "benchmarks.families", args, onnxruntime=ort.__version__)
    rows = earlier(args.json, args.threads)
    name, figures = row(args)
    recorder.finish({"threads": args.threads, "families": {**rows, name: figures}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
