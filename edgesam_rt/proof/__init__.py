"""Proof that a backend gives a bundle's answers on this machine, as a report to send back.

The self-test, then the engines beside ONNX Runtime's (see `compare.py`), then the time of a frame.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import edgesam_rt
from edgesam_rt import backends
from edgesam_rt.backends import BackendOptions, Say
from edgesam_rt.bench.environment import package_version
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import EdgeSamError
from edgesam_rt.proof import compare
from edgesam_rt.proof.compare import (
    REFERENCE,
    REPEATS,
    Engines,
    Report,
    probes,
    run_by_onnx_runtime,
)

__all__ = ["REPEATS", "Report", "probes", "prove", "run_by_onnx_runtime"]
SCHEMA = 1


def prove(
    bundle: Bundle,
    backend: str,
    options: BackendOptions | None = None,
    *,
    say: Say | None = None,
    rebuild: bool = False,
) -> Report:
    """Run a bundle by a backend on this machine and judge it. Takes seconds, or minutes.

    A backend that must be prepared on the board (TensorRT makes its plans) is prepared first, and
    is told the verdict: only what passed here is used by `edgesam_rt.open` and `edgesam-run`.

    Args:
        bundle: a segmenter.
        backend: a row of `backends/table.py`.
        options: of its engines; None for the defaults.
        say: told of every step that takes a while.
        rebuild: prepare anew what is there already.

    Returns:
        Plain JSON. `passed`, and `problems` in words (empty if it passed); `prepared`, what
        is known of what the backend made here (GPU, versions, time); `sides`, one entry per
        encoder side that was run: `self_test` (None, or why it failed), `compared`
        (pictures and prompts; mean and worst IoU of the masks that both decoders make of
        one embedding; least cosine of every embedding tensor), `frame_ms` (wall time of
        encoding and of one point, see `bench.measure.series`). Errors of the backend are
        problems in the report, not raised.

    Raises:
        ConfigError: there is no such backend.
    """
    backends.row(backend)
    how = options or BackendOptions()
    run = _Run(bundle, backend, how)
    try:
        backends.prepare(bundle, backend, say, rebuild=rebuild)
        run.prepared = backends.prepared(bundle, backend)
        for side in bundle.sides(backend):
            if say is not None:
                say(f"prove: {backend} at side {side}")
            run.prove_side(side)
        if not run.sides:
            run.problems.append(f"bundle {bundle.label} has no encoder for {backend}")
    except EdgeSamError as error:
        run.problems.append(str(error))
    if run.sides:
        backends.judge(bundle, backend, run.problems)
    return run.report()


@dataclass
class _Run:
    """One proof under way."""

    bundle: Bundle
    backend: str
    options: BackendOptions
    sides: list[Report] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    prepared: list[Report] = field(default_factory=list)

    def report(self) -> Report:
        return {
            "schema": SCHEMA,
            "edgesam_rt": edgesam_rt.__version__,
            "bundle": self.bundle.label,
            "backend": self.backend,
            "library": _library(self.backend),
            "compared_with": _library(REFERENCE),
            "passed": not self.problems,
            "problems": self.problems,
            "prepared": self.prepared,
            "sides": self.sides,
        }

    def prove_side(self, side: int) -> None:
        """Test, compare and time the engines of one side; what is wrong goes into `problems`."""
        with Engines(self.bundle, self.backend, side, self.options) as made:
            facts: Report = {"side": side, "self_test": made.failed_self_test()}
            self.sides.append(facts)
            if facts["self_test"] is not None:
                self.problems.append(facts["self_test"])
            if (other := compare.reference(self.bundle, self.backend)) is not None:
                with Engines(other, REFERENCE, side, self.options) as reference:
                    facts["compared"] = compare.compared(made, reference)
                self.problems += compare.differences(facts, self.bundle.manifest.self_test)
            facts["frame_ms"] = made.frame_ms()


def _library(backend: str) -> str:
    """A backend's package and its version."""
    package = backends.row(backend).package
    loaded = getattr(sys.modules.get(package), "__version__", None)  # JetPack's are no pip packages
    return f"{package} {loaded or package_version(package) or 'not installed'}"
