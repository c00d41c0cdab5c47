"""Graphs of the published families by ONNX Runtime and by LiteRT: same values, how quick.

`python -m edgesam_engines.litert.timed encoder.onnx …` takes graphs with fixed shapes, such as a
bundle's encoders, and prints a row for each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter

from edgesam_engines.litert.checks import partitions
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.translate import add_graph
from edgesam_rt.bench.measure import interleave, series
from edgesam_rt.selftest import cosine
from edgesam_rt.types import AnyArray

HEAD = """| graph | onnx, MB | tflite, MB | parts | least cosine | onnxruntime, ms | litert, ms |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def row(path: Path, threads: int, repeats: int) -> str:
    """Translate, compare and time one graph."""
    model = onnx.load(path)
    file = File(path.stem)
    add_graph(file, model, "all")
    content = file.content()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    feeds = {i.name: _values(i.shape) for i in session.get_inputs()}
    interpreter = Interpreter(model_content=content, num_threads=threads)
    runner = interpreter.get_signature_runner("all")
    want, got = session.run(names, feeds), runner(**feeds)
    least = min(cosine(got[n], w) for n, w in zip(names, want, strict=True))
    works = {"ort": lambda: session.run(names, feeds), "litert": lambda: runner(**feeds)}
    found = interleave(works, warm_up=1, repeats=repeats)
    times = " | ".join(f"{series(found[name].wall)['p50']:.0f}" for name in works)
    sizes = f"{path.stat().st_size / 1e6:.1f} | {len(content) / 1e6:.1f}"
    return f"| {path.stem} | {sizes} | {partitions(content)} | {least:.5f} | {times} |"


def _values(shape: list[int]) -> AnyArray:
    """Like normalised pixels."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(arguments)
    sys.stdout.write(HEAD + "\n")
    for path in args.graphs:
        sys.stdout.write(row(path, args.threads, args.repeats) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
