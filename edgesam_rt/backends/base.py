"""The one seam between engines and the libraries that run them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendError, ShapeError
from edgesam_rt.manifest import EngineFile, TensorSpec
from edgesam_rt.types import AnyArray

Feeds = Mapping[str, AnyArray]
Outputs = dict[str, AnyArray]


@dataclass(frozen=True)
class BackendOptions:
    """How to run an engine.

    Attributes:
        threads: to use, at least 1.
        in_lanes: many small runs come at once (`run_many`): a backend that can lets each thread
            take runs of its own, instead of all sharing one.
        spin: whether idle threads spin for work: quicker by a little, at the price of heat.
    """

    threads: int = 1
    in_lanes: bool = False
    spin: bool = False


class Backend(ABC):
    """One opened engine. Opened, run and closed by one thread.

    A new backend is one file with a subclass that has `_run`, `_close` and a constructor
    `(path, inputs, outputs, options)`, and one row in `table.py`.
    """

    name: str = ""

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self.inputs: Mapping[str, TensorSpec] = {spec.name: spec for spec in inputs}
        self.outputs: Mapping[str, TensorSpec] = {spec.name: spec for spec in outputs}
        self._closed = False

    @classmethod
    def of_bundle(
        cls, bundle: Bundle | DetectorBundle, entry: EngineFile, options: BackendOptions
    ) -> Backend:
        """Open an engine of a bundle; a backend that runs another file made from it says which.

        Raises:
            BundleError: the file is not what the manifest says.
            BackendMissing, EngineLoadError: it cannot be run here.
        """
        path = bundle.path(entry)
        return cls(path, entry.inputs, entry.outputs, options)  # type: ignore[call-arg,arg-type]

    @final
    def run(self, feeds: Feeds) -> Outputs:
        """Run the engine once.

        Args:
            feeds: exactly the manifest's inputs, by name.

        Returns:
            The outputs by name. They belong to the caller.

        Raises:
            ShapeError: a feed is missing, unknown, or of another shape or dtype.
            BackendError: the engine failed or was closed.
        """
        return self.run_many([feeds])[0]

    @final
    def run_many(self, feeds: Sequence[Feeds]) -> list[Outputs]:
        """Run the engine for each of several feeds; a backend may work on some at once.

        Args, returns and raises: as `run`, for each of them in their order.
        """
        if self._closed:
            raise BackendError(f"{self.name}: the engine was closed.")
        for each in feeds:
            self._check(each)
        return self._run_many(feeds)

    @final
    def close(self) -> None:
        """Give the engine back; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def _check(self, feeds: Feeds) -> None:
        if feeds.keys() != self.inputs.keys():
            raise ShapeError(
                f"{self.name}: expected inputs {sorted(self.inputs)}, got {sorted(feeds)}."
            )
        free: dict[str, int] = {}
        for name, spec in self.inputs.items():
            array = feeds[name]
            fits = array.dtype == spec.dtype and len(array.shape) == len(spec.shape)
            for want, got in zip(spec.shape, array.shape, strict=False):
                expected = want if isinstance(want, int) else free.setdefault(want, got)
                fits = fits and expected == got
            if not fits:
                lengths = [f"{n}={free[n]}" if n in free else n for n in spec.shape]
                raise ShapeError(
                    f"{self.name}, input {name!r}: expected {_show(lengths)} {spec.dtype}, got "
                    f"{_show(array.shape)} {array.dtype} (layout {spec.layout or 'not stated'})."
                )

    def _run_many(self, feeds: Sequence[Feeds]) -> list[Outputs]:
        """One after another; a backend whose runs may overlap does better."""
        return [self._run(each) for each in feeds]

    @abstractmethod
    def _run(self, feeds: Feeds) -> Outputs: ...

    @abstractmethod
    def _close(self) -> None: ...


def _show(shape: Sequence[int | str]) -> str:
    return "(" + ", ".join(str(n) for n in shape) + ")"
