"""Processes of their own: how long until a first result, and how much memory a run takes.

`python -m edgesam_rt.bench.fresh '{"bundle": …}'` opens the engines, gives one result, and prints
when it did what, as JSON; `ask` starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from edgesam_rt.errors import PipelineError

STREAMED = 10  # frames of the run whose memory is taken
PATIENCE_S = 600.0
MARKS = ("interpreter", "import", "open", "first result")


@dataclass(frozen=True)
class Figures:
    """What fresh processes found.

    Attributes:
        start_ms: from one mark to the next: "interpreter" (until our first line), "import", "open"
            (self-test included), "first result" (encode, one point, its mask); "total" of all.
        peak_mib: largest resident size: after the "first result", and of an "edgesam-run".
    """

    start_ms: dict[str, float]
    peak_mib: dict[str, float]


@dataclass(frozen=True)
class Request:
    """What to open; see `edgesam_rt.open`. `bundle` is a folder."""

    bundle: str
    board: str
    backend: str
    encoder_side: int
    threads: int

    def as_options(self) -> list[str]:
        """For `edgesam-run`."""
        pairs = asdict(self).items()
        return [word for name, v in pairs for word in (f"--{name.replace('_', '-')}", str(v))]


def ask(request: Request) -> Figures:
    """Start both processes, one after the other.

    Raises:
        PipelineError: one failed; its last words are in the message.
    """
    started_ns = time.monotonic_ns()
    found = _run(["edgesam_rt.bench.fresh", json.dumps(asdict(request))])
    marks = [started_ns, *found["marks_ns"]]
    took = [(end - begin) / 1e6 for begin, end in pairwise(marks)]
    source = f"synthetic:?frames={STREAMED}&size=640x480"
    options = ["--point", "320,240", "--out", "null:", "--json", *request.as_options()]
    stream = _run(["edgesam_rt.cli.run", source, *options])
    return Figures(
        {**dict(zip(MARKS, took, strict=True)), "total": sum(took)},
        {"first result": found["peak_mib"], "edgesam-run": stream["peak_memory_mib"]},
    )


def _run(words: list[str]) -> dict[str, Any]:
    """Run a module; returns the JSON it prints last."""
    command = [sys.executable, "-m", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PipelineError(
            f"{words[0]}: a fresh process did not end in {PATIENCE_S:g} s."
        ) from error
    if done.returncode:
        raise PipelineError(
            f"{words[0]}: a fresh process ended with exit code {done.returncode}: "
            f"{done.stderr.strip()[-500:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _answer(options: dict[str, Any]) -> dict[str, object]:
    marks = [time.monotonic_ns()]
    import numpy as np

    from edgesam_rt.api import open as open_segmenter
    from edgesam_rt.pipeline.metrics import peak_memory_mib
    from edgesam_rt.records import Prompt

    marks.append(time.monotonic_ns())
    with open_segmenter(**options) as segmenter:
        marks.append(time.monotonic_ns())
        embedding = segmenter.encode(np.full((480, 640, 3), 127, np.uint8))
        _ = segmenter.predict(embedding, Prompt.point(320, 240)).masks
        marks.append(time.monotonic_ns())
        return {"marks_ns": marks, "peak_mib": peak_memory_mib()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.loads(sys.argv[1]))) + "\n")
