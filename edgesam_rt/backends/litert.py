"""Engines run by LiteRT (.tflite files) on the CPU, with its XNNPACK kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_rt.backends import litert_buckets as buckets
from edgesam_rt.backends.base import Backend, BackendOptions, Feeds, Outputs
from edgesam_rt.backends.litert_library import interpreter_class
from edgesam_rt.backends.litert_numbers import Convert, FileTensor, from_file, to_file
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendError, EngineLoadError
from edgesam_rt.manifest import EngineFile, Manifest, TensorSpec
from edgesam_rt.records import PADDING
from edgesam_rt.types import AnyArray


@dataclass(frozen=True)
class _Call:
    """One signature of a file, ready to be called."""

    runner: Any
    bucket: buckets.Bucket
    before: Mapping[str, Convert]
    behind: Mapping[str, Convert]

    def __call__(self, feeds: Feeds) -> Outputs:
        made = self.runner(**{name: self.before[name](values) for name, values in feeds.items()})
        return {name: convert(made[name]) for name, convert in self.behind.items()}


class LiteRt(Backend):
    """A .tflite file: one signature, or several that take different numbers of prompts.

    Raises:
        BackendMissing: there is no library, or none that works with this NumPy.
        EngineLoadError: LiteRT refused the file, or its tensors are not the manifest's.
    """

    name = "litert"

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        options: BackendOptions,
        filler_label: int = PADDING,
    ) -> None:
        super().__init__(inputs, outputs)
        self._filler_label = filler_label
        interpreter = _opened(path, options.threads)
        runners = {
            key: interpreter.get_signature_runner(key) for key in interpreter.get_signature_list()
        }
        called = (self._call(runner, key, path) for key, runner in runners.items())
        self._calls = [call for call in called if call is not None]
        if not self._calls:
            raise EngineLoadError(
                f"litert: {path} has no signature with the manifest's shapes and types, only "
                f"{', '.join(map(_told, runners.values())) or 'none at all'}. "
                "Build the bundle again."
            )

    @classmethod
    def of_bundle(
        cls, bundle: Bundle | DetectorBundle, entry: EngineFile, options: BackendOptions
    ) -> Backend:
        """As every backend; a segmenter's manifest says which points count for nothing."""
        manifest = bundle.manifest
        label = manifest.decoder.filler_label if isinstance(manifest, Manifest) else PADDING
        return cls(bundle.path(entry), entry.inputs, entry.outputs, options, label)

    def _call(self, runner: Any, key: str, path: Path) -> _Call | None:
        """A signature to call; None for one of other shapes: a file may serve several sides."""
        takes, gives = _tensors(runner)
        if (takes.keys(), gives.keys()) != (self.inputs.keys(), self.outputs.keys()):
            raise EngineLoadError(
                f"litert: {path} has tensors {sorted(takes)} -> {sorted(gives)}, "
                f"the manifest says {sorted(self.inputs)} -> {sorted(self.outputs)}."
            )
        lengths = buckets.lengths_in(
            [*self.inputs.values(), *self.outputs.values()],
            {name: tensor.shape for name, tensor in (takes | gives).items()},
        )
        before = _all_known({n: to_file(s.dtype, takes[n]) for n, s in self.inputs.items()})
        behind = _all_known({n: from_file(gives[n], s.dtype) for n, s in self.outputs.items()})
        if lengths is None or before is None or behind is None:
            return None
        return _Call(runner, buckets.Bucket(key, lengths), before, behind)

    def _run(self, feeds: Feeds) -> Outputs:
        specs = list(self.inputs.values())
        asked = buckets.lengths_in(specs, {name: feeds[name].shape for name in self.inputs}) or {}
        by_bucket = [call.bucket for call in self._calls]
        bucket = buckets.choose(by_bucket, asked)
        if bucket is None:
            has = "; ".join(str(dict(b.lengths)) for b in by_bucket)
            raise BackendError(f"litert: no signature takes {asked}; there are {has}.")
        call = self._calls[by_bucket.index(bucket)]
        prompts = asked.get(buckets.PROMPTS, 1)
        parts = buckets.parts(specs, feeds, bucket, prompts, self._filler_label)
        try:
            made = [(count, call(part)) for count, part in parts]
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"litert: the engine failed: {error}") from error
        return {name: self._joined(name, made) for name in self.outputs}

    def _joined(self, name: str, made: Sequence[tuple[int, Outputs]]) -> AnyArray:
        """All rows that were asked for, and no others."""
        if self.outputs[name].shape[:1] != (buckets.PROMPTS,):
            return made[0][1][name]
        rows = [outputs[name][:count] for count, outputs in made]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _close(self) -> None:
        self._calls = []


def _opened(path: Path, threads: int) -> Any:
    """An interpreter that holds the file's bytes: one that maps a damaged file may crash."""
    interpreter = interpreter_class()
    try:
        return interpreter(model_content=path.read_bytes(), num_threads=threads)
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineLoadError(f"litert: cannot load {path}: {error}") from error


def _tensors(runner: Any) -> tuple[dict[str, FileTensor], dict[str, FileTensor]]:
    """What a signature takes and gives."""
    takes, gives = (
        {name: FileTensor.of(told) for name, told in details.items()}
        for details in (runner.get_input_details(), runner.get_output_details())
    )
    return takes, gives


def _all_known(converts: Mapping[str, Convert | None]) -> dict[str, Convert] | None:
    known = {name: convert for name, convert in converts.items() if convert is not None}
    return known if len(known) == len(converts) else None


def _told(runner: Any) -> str:
    takes, _ = _tensors(runner)
    return " and ".join(f"{name} {t.shape} {t.dtype}" for name, t in takes.items())
