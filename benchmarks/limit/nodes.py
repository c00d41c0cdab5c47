"""What ONNX Runtime really executes, and how long each of it takes: its own profiler."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgesam_rt.bench.measure import Figures, interleave, series
from edgesam_rt.types import AnyArray

KERNEL = "_kernel_time"
WARM_UP = 5
_ADDED = re.compile(r"(_token_\d+)?(_nchwc)?$")  # what ONNX Runtime puts behind names


@dataclass(frozen=True)
class Node:
    """One executed node.

    Attributes:
        name: as ONNX Runtime calls it; origin: without what it added.
        op: its operator.
        ms: the least time of all runs, as the peaks are the best of theirs.
        moved: bytes of its inputs that are not constants, and of its outputs.
        is_integer: whether it computes on bytes.
    """

    name: str
    origin: str
    op: str
    ms: float
    moved: int
    is_integer: bool


@dataclass(frozen=True)
class Profile:
    """One engine's run.

    Attributes:
        nodes: in the order they are executed.
        run_ms: of whole runs without the profiler.
    """

    nodes: list[Node]
    run_ms: Figures


def profile(path: Path, feed: AnyArray, threads: int, repeats: int) -> Profile:
    """Run an engine with one input, by turns with and without the profiler."""
    with tempfile.TemporaryDirectory() as folder:
        watched, plain = (_open(path, threads, prefix) for prefix in (f"{folder}/run", ""))
        feeds = {plain.get_inputs()[0].name: feed}
        times = interleave(
            {
                "plain": lambda: plain.run(None, feeds),
                "watched": lambda: watched.run(None, feeds),
            },
            warm_up=WARM_UP,
            repeats=repeats,
        )
        events = json.loads(Path(watched.end_profiling()).read_text(encoding="utf-8"))
    return Profile(nodes_of(events, WARM_UP), series(times["plain"].wall))


def _open(path: Path, threads: int, prefix: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if prefix:
        options.enable_profiling = True
        options.profile_file_prefix = prefix
    # As the runtime opens it: idle threads do not spin.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def nodes_of(events: list[dict[str, Any]], skipped: int) -> list[Node]:
    """Executed nodes, the first runs left out."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            runs[event["name"].removesuffix(KERNEL)].append(event)
    return [_node(name, found[skipped:]) for name, found in runs.items()]


def _node(name: str, found: list[dict[str, Any]]) -> Node:
    told = found[0]["args"]
    kinds = [kind for tensor in told["input_type_shape"] for kind in tensor]
    return Node(
        name=name,
        origin=_ADDED.sub("", name),
        op=told["op_name"],
        ms=min(event["dur"] for event in found) / 1e3,
        moved=int(told["activation_size"]) + int(told["output_size"]),
        is_integer=bool(kinds) and kinds[0] in ("uint8", "int8"),
    )
