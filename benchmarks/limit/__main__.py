"""How near each encoder comes to what this machine could do, and where its time goes.

For every encoder: multiply-adds from its ONNX file, bytes and time per executed node from ONNX
Runtime's profiler, and the share of the possible: max(multiply-adds / peak, bytes / bandwidth),
both measured here. `python -m benchmarks.report FILE --update docs/limit.md` makes the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.limit import nodes, peaks, roofline
from benchmarks.limit.work import layers
from edgesam_rt.bundle import DEFAULT, Bundle, find
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError

BACKEND = "onnxruntime"


def machine(threads: int) -> tuple[roofline.Machine, dict[str, object]]:
    """What this machine can do with so many threads; and the same for the report."""
    rates, curve = peaks.multiply_adds(threads), peaks.bandwidth(threads)
    best = {precision: max(found.values()) for precision, found in rates.items()}
    row: dict[str, object] = {"threads": threads, "gmacs_per_s": rates, "bandwidth": curve}
    return roofline.Machine({k: v * 1e6 for k, v in best.items()}, curve), row


def encoder(
    bundle: Bundle, side: int, threads: int, repeats: int, limits: roofline.Machine
) -> dict[str, object]:
    """One encoder against the machine."""
    entry = bundle.engine("encoder", BACKEND, side)
    path = bundle.path(entry)
    picture = SyntheticCamera(size_wh=(side, side)).draw(0)[None]
    if tuple(entry.inputs[0].shape) != picture.shape or entry.inputs[0].dtype != "uint8":
        raise ConfigError(f"{bundle.label}: the encoder's input is no picture of side {side}.")
    ran = nodes.profile(path, np.ascontiguousarray(picture), threads, repeats)
    work = layers(path)
    found = [roofline.measure(node, work, limits) for node in ran.nodes]
    return {
        "bundle": bundle.label,
        "precision": bundle.manifest.precision,
        "sha256": entry.sha256[:16],
        "side": side,
        "threads": threads,
        "model_mmacs": round(sum(layer.macs for layer in set(work.values())) / 1e6, 2),
        "run_ms": ran.run_ms,
        "all": roofline.sums(found),
        "kinds": roofline.by_kind(found),
        "worst": roofline.worst(found),
    }


def measure_all(args: argparse.Namespace) -> dict[str, object]:
    """The machine, then every encoder."""
    bundles = [find(name) for name in args.bundle or [DEFAULT]]
    machines, rows = [], []
    for threads in args.threads:
        limits, row = machine(threads)
        machines.append(row)
        for bundle in bundles:
            for side in args.side or bundle.sides(BACKEND):
                sys.stderr.write(f"{bundle.label}, side {side}, {threads} threads ...\n")
                rows.append(encoder(bundle, side, threads, args.repeats, limits))
    return {"machine": machines, "engines": rows}


def _run(args: argparse.Namespace) -> int:
    recorder = report.Recorder("limit", "benchmarks.limit", args)
    recorder.finish(measure_all(args))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.limit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--bundle", action="append", metavar="NAME|PATH", help="repeatable")
    p.add_argument("--side", type=int, action="append", help="px; default: all of the bundle")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--repeats", type=int, default=30, metavar="N", help="runs of each")
    p.add_argument("--data", type=Path, help="not used; every benchmark takes it")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    args = p.parse_args(argv)
    return run_command(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
