"""Engines run by ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Its wheels (seen in 1.31) send usage data home unless this is set before the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from edgesam_rt.backends.base import Backend, BackendOptions, Feeds, Outputs
from edgesam_rt.errors import BackendError, EngineLoadError
from edgesam_rt.manifest import TensorSpec

_ERRORS_ONLY = 3  # its log severities: 0 verbose, 1 info, 2 warning, 3 error


class OnnxRuntime(Backend):
    """An ONNX file on the CPU execution provider.

    Raises:
        EngineLoadError: ONNX Runtime refused the file, or its tensors are not the manifest's.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        options: BackendOptions,
    ) -> None:
        super().__init__(inputs, outputs)
        try:
            session = ort.InferenceSession(
                str(path), _session_options(options), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise EngineLoadError(
                f"onnxruntime {ort.__version__}: cannot load {path}: {error}"
            ) from error
        self._session: Any = session
        side_by_side = options.in_lanes and options.threads > 1
        self._lanes = ThreadPoolExecutor(options.threads, "lane") if side_by_side else None
        self._names = [spec.name for spec in outputs]
        found = {i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()}
        if found != (set(self.inputs), set(self.outputs)):
            raise EngineLoadError(
                f"onnxruntime: {path} has tensors {sorted(found[0])} -> {sorted(found[1])}, "
                f"the manifest says {sorted(self.inputs)} -> {sorted(self.outputs)}."
            )

    def _run(self, feeds: Feeds) -> Outputs:
        try:
            values = self._session.run(self._names, dict(feeds))
        except Exception as error:  # as above
            raise BackendError(f"onnxruntime: the engine failed: {error}") from error
        return dict(zip(self._names, values, strict=True))

    def _run_many(self, feeds: Sequence[Feeds]) -> list[Outputs]:
        if self._lanes is None or len(feeds) == 1:
            return super()._run_many(feeds)
        return list(self._lanes.map(self._run, feeds))

    def _close(self) -> None:
        if self._lanes is not None:
            self._lanes.shutdown()
        self._session = None


def _session_options(options: BackendOptions) -> ort.SessionOptions:
    chosen = ort.SessionOptions()
    # With one thread a run stays in the thread that calls it: a lane's.
    chosen.intra_op_num_threads = 1 if options.in_lanes else options.threads
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    chosen.log_severity_level = _ERRORS_ONLY
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spin else "0")
    return chosen
