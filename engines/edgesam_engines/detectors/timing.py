"""How long a detector takes per picture, beside its float model.

python -m edgesam_engines.detectors.timing BUNDLE --checkpoint yolox_nano.onnx --threads 1

Interleaved, so that all see the same machine. The published graph and the float engine are run
alone; `detect` is the runtime's way from picture to boxes, a 640x480 one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from edgesam_engines.detectors import build, yolox
from edgesam_rt.backends import BackendOptions
from edgesam_rt.bench.measure import Work, interleave
from edgesam_rt.bundle import find_detector
from edgesam_rt.cli.exits import run_command
from edgesam_rt.detector import Detector
from edgesam_rt.segmenter import EngineOptions

_PICTURE_HW = (480, 640)


def _engine(model: onnx.ModelProto, threads: int) -> Work:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (source,) = run.get_inputs()
    dtype = np.uint8 if source.type == "tensor(uint8)" else np.float32
    feed = {source.name: np.random.default_rng(0).integers(0, 255, source.shape).astype(dtype)}
    return lambda: run.run(None, feed)


def measured(bundle: str, checkpoint: Path, threads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds per picture of every way."""
    found = find_detector(bundle)
    published = yolox.read(checkpoint)
    body = yolox.body(published)
    detector = Detector(found, EngineOptions("onnxruntime", BackendOptions(threads=threads)))
    picture = np.random.default_rng(1).integers(0, 255, (*_PICTURE_HW, 3)).astype(np.uint8)
    works: dict[str, Work] = {
        "published graph": _engine(published, threads),
        "float engine": _engine(build.finished(body.graph, body), threads),
        found.label: _engine(onnx.load(found.path(found.manifest.engines[0])), threads),
        f"{found.label}, detect": lambda: detector.detect(picture),
    }
    times = interleave(works, warm_up=5, repeats=repeats)
    detector.close()
    return {"threads": threads, **{name: t.figures()["wall_ms"] for name, t in times.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    p = argparse.ArgumentParser(
        prog="python -m edgesam_engines.detectors.timing",
        description="Time a detector and its float model.",
    )
    p.add_argument("bundle", help="name or folder")
    p.add_argument("--checkpoint", type=Path, required=True, help="the published ONNX file")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--repeats", type=int, default=40)
    args = p.parse_args(argv)

    def run() -> int:
        made = measured(args.bundle, args.checkpoint, args.threads, args.repeats)
        sys.stdout.write(json.dumps(made, indent=2) + "\n")
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
