"""Which kernels ONNX Runtime runs an encoder with: integer ones, float ones, conversions, moves.

Its own profile tells: what a graph asks for says little, for it is fused and rearranged first.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgesam_rt.backends.base import Feeds

RUNS = 3
INTEGER, FLOAT, CONVERSION, MOVE = "integer", "float", "conversion", "move"
_INTEGER = {"ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"}
_INTEGER |= {"QGemm"}
_CONVERSION = {"Cast", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}
_MOVE = {"Concat", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze"}
_MOVE |= {"ReorderInput", "ReorderOutput", "Transpose", "Unsqueeze"}
_KERNEL = "_kernel_time"


@dataclass
class Kernels:
    """What ran.

    Attributes:
        ms: of each kind, per run.
        counts: how many of each kind and operation.
    """

    ms: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def figures(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ms": {kind: round(self.ms[kind], 1) for kind in (INTEGER, FLOAT, CONVERSION, MOVE)},
            "float_operations": dict(self.counts[FLOAT].most_common()),
            "integer_operations": sum(self.counts[INTEGER].values()),
        }


def kind_of(operation: str) -> str:
    """Of a kernel, by the name of its operation."""
    if operation.startswith("QLinear") or operation in _INTEGER:
        return INTEGER
    if operation in _CONVERSION:
        return CONVERSION
    return MOVE if operation in _MOVE else FLOAT


def profile(engine: Path, feed: Feeds, threads: int) -> Kernels:
    """Run an encoder a few times and read the profile of all but the first run."""
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        session = ort.InferenceSession(str(engine), options, providers=["CPUExecutionProvider"])
        for _ in range(1 + RUNS):
            session.run(None, dict(feed))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return from_events(events)


def from_events(events: list[Mapping[str, Any]]) -> Kernels:
    """Sum up a profile: counts of one run, and the mean time of all but the first."""
    found = Kernels()
    by_node: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in _kernel_events(events):
        by_node[event["name"]].append(event)
    for runs in by_node.values():
        operation = runs[0]["args"]["op_name"]
        kind = kind_of(operation)
        found.counts[kind][operation] += 1
        later = runs[1:] or runs
        found.ms[kind] += sum(e["dur"] for e in later) / len(later) / 1000
    return found


def _kernel_events(events: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL))
