"""A TensorRT plan that runs, as a Backend."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesam_rt.backends.base import Backend, BackendOptions, Feeds, Outputs
from edgesam_rt.backends.tensorrt import api, setup, vendor
from edgesam_rt.backends.tensorrt.gpu import Gpu
from edgesam_rt.backends.tensorrt.runner import Opened, Runner, bounds_of, fits
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendError, EngineLoadError, ShapeError
from edgesam_rt.manifest import EngineFile, TensorSpec

REBUILD = f"Build it again: {setup.BUILD} --rebuild"


class TensorRt(Backend):
    """A plan on the GPU: one stream, one execution context and set of buffers per profile.

    A profile's context and buffers are made when its shapes first come, and kept.

    Args:
        path: of the plan.
        inputs, outputs: as the manifest has them.
        options: its threads mean nothing here.

    Raises:
        BackendMissing: tensorrt or pycuda is not installed.
        EngineLoadError: the plan is damaged or of another GPU or TensorRT, its tensors are not the
            manifest's, or memory is short.
    """

    name = "tensorrt"

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        options: BackendOptions,
    ) -> None:
        del options
        super().__init__(inputs, outputs)
        content = _read(path)
        self._opened = Opened(vendor.load())
        self._thread = threading.get_ident()
        self._runners: dict[int, Runner] = {}
        self._gpu_context = Gpu(self._opened.vendor).take_context()
        try:
            with self._gpu_context.current():
                self._open(path, content)
        except self._opened.vendor.cuda.Error as error:
            self.close()
            raise EngineLoadError(f"tensorrt: cannot open {path}: {error}.") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def of_bundle(
        cls, bundle: Bundle | DetectorBundle, entry: EngineFile, options: BackendOptions
    ) -> TensorRt:
        """Open the plan that was made from a bundle's engine on this board.

        Raises:
            EngineLoadError: there is none; the message says how to make it.
        """
        bundle.path(entry)  # the file the plan stands for is what the manifest says
        plan = setup.find_plan(bundle, entry)
        return cls(plan.path, entry.inputs, entry.outputs, options)

    def _open(self, path: Path, content: bytes) -> None:
        opened, lib = self._opened, self._opened.vendor
        lib.take_errors()
        opened.runtime = lib.trt.Runtime(lib.logger)
        opened.engine = opened.runtime.deserialize_cuda_engine(content)
        if opened.engine is None:  # it raises nothing
            raise EngineLoadError(
                f"tensorrt {lib.version}: {path} is no plan of this GPU and version: "
                f"{lib.take_errors() or 'it did not say why'}. {REBUILD}."
            )
        self._check_tensors(path)
        opened.stream = lib.cuda.Stream()
        count = opened.engine.num_optimization_profiles
        self._bounds = [bounds_of(opened, list(self.inputs), i) for i in range(count)]
        self._runner(0)

    def _check_tensors(self, path: Path) -> None:
        found = api.tensors(self._opened.vendor.trt, self._opened)
        wanted = tuple(
            {n: spec.dtype for n, spec in specs.items()} for specs in (self.inputs, self.outputs)
        )
        if found != wanted:
            raise EngineLoadError(
                f"tensorrt: {path} has tensors {found[0]} -> {found[1]}, the manifest says "
                f"{wanted[0]} -> {wanted[1]}. {REBUILD}."
            )

    def _run(self, feeds: Feeds) -> Outputs:
        self._check_thread()
        shapes = {name: array.shape for name, array in feeds.items()}
        index = next((i for i, b in enumerate(self._bounds) if fits(b, shapes)), None)
        if index is None:
            raise ShapeError(self._too_long(shapes))
        try:
            with self._gpu_context.current():
                return self._runner(index).run(feeds)
        except self._opened.vendor.cuda.Error as error:
            raise BackendError(f"tensorrt: the engine failed: {error}") from error

    def _runner(self, index: int) -> Runner:
        if index not in self._runners:
            self._runners[index] = Runner(self._opened, index, self.inputs, self.outputs)
        return self._runners[index]

    def _too_long(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        wrong = [
            n for n, s in shapes.items() if not any(fits({n: b[n]}, {n: s}) for b in self._bounds)
        ]
        name = (wrong or list(shapes))[0]
        ranges = " or ".join(f"{b[name][0]} to {b[name][1]}" for b in self._bounds)
        return f"tensorrt, input {name!r}: the plan takes shapes {ranges}, got {shapes[name]}."

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise BackendError(
                "tensorrt: this engine was opened by another thread; a GPU context belongs to its "
                "thread. Open, run and close an engine in the same one."
            )

    def _close(self) -> None:
        self._check_thread()
        with self._gpu_context.current():
            while self._runners:
                self._runners.popitem()[1].close()
            self._opened.close()
        self._gpu_context.release()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineLoadError(
            f"tensorrt: cannot read {path}: {error.strerror}. {REBUILD}."
        ) from error
