"""What every backend promises. Inherit, give `entry` and `path`, and prove it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from edgesam_rt.backends import Backend, BackendOptions
from edgesam_rt.backends.table import TABLE
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendError, EngineLoadError, ShapeError
from edgesam_rt.manifest import EngineFile, TensorSpec
from edgesam_rt.types import AnyArray

Feeds = dict[str, AnyArray]


class BackendContract:
    """A subclass names its row of the table of backends, and an engine of the manifest.

    `free` says how long the engine's free axes are in these tests, `shared` which of them several
    inputs have in common.
    """

    kind: str
    free: Mapping[str, int] = MappingProxyType({})
    shared: tuple[str, ...] = ()

    @pytest.fixture
    def entry(self) -> EngineFile:
        """What the manifest says of the engine."""
        raise NotImplementedError

    @pytest.fixture
    def path(self, default_bundle: Bundle, entry: EngineFile) -> Path:
        """The engine's file."""
        return default_bundle.path(entry)

    def open(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        options: BackendOptions,
    ) -> Backend:
        """Open a file as this backend does."""
        row = TABLE[self.kind]
        factory = getattr(importlib.import_module(row.module), row.factory)
        opened: Backend = factory(path, inputs, outputs, options)
        return opened

    @pytest.fixture
    def backend(self, entry: EngineFile, path: Path) -> Iterator[Backend]:
        """Opened on one thread."""
        opened = self.open(path, entry.inputs, entry.outputs, BackendOptions())
        yield opened
        opened.close()

    def feeds(self, entry: EngineFile, seed: int = 0, **changes: int) -> Feeds:
        """Values an engine can take: small, and whole where they stand for labels."""
        rng, made = np.random.default_rng(seed), {}
        free = {**self.free, **changes}
        for spec in entry.inputs:
            shape = tuple(free[n] if isinstance(n, str) else n for n in spec.shape)
            high = {"point_labels": 2, "has_mask_input": 1}.get(spec.name)
            if spec.dtype == "uint8":
                made[spec.name] = rng.integers(0, 256, shape, np.uint8)
            elif high is not None:
                made[spec.name] = rng.integers(0, high, shape).astype(spec.dtype)
            else:
                made[spec.name] = rng.random(shape).astype(spec.dtype)
        return made

    def test_outputs_have_the_names_types_and_shapes_of_the_manifest(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        outputs = backend.run(self.feeds(entry))
        assert outputs.keys() == {spec.name for spec in entry.outputs}
        free = dict(self.free)
        for spec in entry.outputs:
            array = outputs[spec.name]
            assert array.dtype == spec.dtype, spec.name
            assert len(array.shape) == len(spec.shape), spec.name
            for want, got in zip(spec.shape, array.shape, strict=True):
                expected = free.setdefault(want, got) if isinstance(want, str) else want
                assert got == expected, spec.name

    def test_outputs_are_finite(self, backend: Backend, entry: EngineFile) -> None:
        for name, array in backend.run(self.feeds(entry)).items():
            assert np.isfinite(array).all(), name

    def test_it_knows_the_tensors_of_the_manifest(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        assert tuple(backend.inputs.values()) == entry.inputs
        assert tuple(backend.outputs.values()) == entry.outputs

    def test_a_wrong_shape_names_the_tensor_what_was_expected_and_what_came(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        for name, array in self.feeds(entry).items():
            wrong = array[..., :-1]
            with pytest.raises(ShapeError) as caught:
                backend.run(self.feeds(entry) | {name: array[None]})
            assert f"input '{name}'" in str(caught.value)
            assert str(array[None].shape) in str(caught.value)
            if isinstance(backend.inputs[name].shape[-1], int):
                with pytest.raises(ShapeError, match=f"input '{name}'"):
                    backend.run(self.feeds(entry) | {name: wrong})

    def test_a_wrong_dtype_names_the_tensor_and_both_types(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        for name, array in self.feeds(entry).items():
            with pytest.raises(ShapeError, match=rf"input '{name}'.* {array.dtype}.* float64"):
                backend.run(self.feeds(entry) | {name: array.astype(np.float64)})

    def test_a_missing_input_is_named(self, backend: Backend, entry: EngineFile) -> None:
        for name in self.feeds(entry):
            feeds = self.feeds(entry)
            del feeds[name]
            with pytest.raises(ShapeError, match=name):
                backend.run(feeds)

    def test_an_unknown_input_is_named(self, backend: Backend, entry: EngineFile) -> None:
        feeds = self.feeds(entry) | {"novelty": np.zeros(3, np.float32)}
        with pytest.raises(ShapeError, match="novelty"):
            backend.run(feeds)

    def test_a_free_axis_of_two_lengths_is_answered_with_both(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        shared = [n for n, s in backend.inputs.items() if any(map(self._is_shared, s.shape))]
        for name in shared[1:]:
            at = [self._is_shared(axis) for axis in backend.inputs[name].shape].index(True)
            feeds = self.feeds(entry)
            length = feeds[name].shape[at]
            feeds[name] = np.concatenate([feeds[name], feeds[name]], at)
            with pytest.raises(ShapeError) as caught:
                backend.run(feeds)
            numbers = set(re.findall(r"\d+", str(caught.value)))
            assert {str(length), str(2 * length)} <= numbers, str(caught.value)

    def _is_shared(self, axis: int | str) -> bool:
        """Whether a free axis is one of several inputs; a batch of one may serve all rows."""
        return isinstance(axis, str) and axis in self.shared

    def test_the_same_feeds_give_the_same_bits(self, backend: Backend, entry: EngineFile) -> None:
        first, second = (backend.run(self.feeds(entry)) for _ in range(2))
        for name in first:
            assert first[name].tobytes() == second[name].tobytes(), name

    def test_a_run_between_changes_nothing(self, backend: Backend, entry: EngineFile) -> None:
        first = {k: v.copy() for k, v in backend.run(self.feeds(entry)).items()}
        backend.run(self.feeds(entry, seed=1))
        again = backend.run(self.feeds(entry))
        for name in first:
            assert first[name].tobytes() == again[name].tobytes(), name

    def test_many_runs_at_once_give_what_each_gives_alone(
        self, entry: EngineFile, path: Path
    ) -> None:
        feeds = [self.feeds(entry, seed) for seed in range(5)]
        opened = self.open(
            path, entry.inputs, entry.outputs, BackendOptions(threads=2, in_lanes=True)
        )
        alone = [opened.run(each) for each in feeds]
        for one, other in zip(alone, opened.run_many(feeds), strict=True):
            for name in one:
                assert one[name].tobytes() == other[name].tobytes(), name
        assert opened.run_many([]) == []
        opened.close()
        opened.close()

    def test_one_wrong_feed_among_many_is_refused_before_any_runs(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        name = next(iter(self.feeds(entry)))
        wrong = self.feeds(entry)
        wrong[name] = wrong[name][None]
        with pytest.raises(ShapeError, match=f"input '{name}'"):
            backend.run_many([self.feeds(entry), wrong])

    def test_other_feeds_give_other_outputs(self, backend: Backend, entry: EngineFile) -> None:
        first, second = (backend.run(self.feeds(entry, seed)) for seed in range(2))
        for name in first:
            assert not np.array_equal(first[name], second[name]), name

    def test_outputs_belong_to_the_caller(self, backend: Backend, entry: EngineFile) -> None:
        kept = backend.run(self.feeds(entry))
        copies = {name: array.copy() for name, array in kept.items()}
        backend.run(self.feeds(entry, seed=1))
        for name, array in kept.items():
            assert np.array_equal(array, copies[name]), name
            array[...] = 0  # and may be written to

    def test_feeds_are_left_as_they_are(self, backend: Backend, entry: EngineFile) -> None:
        feeds, before = self.feeds(entry), self.feeds(entry)
        backend.run(feeds)
        for name, array in feeds.items():
            assert np.array_equal(array, before[name]), name

    def test_feeds_may_be_views_and_read_only(self, backend: Backend, entry: EngineFile) -> None:
        plain = backend.run(self.feeds(entry))
        views = {}
        for name, array in self.feeds(entry).items():
            views[name] = np.asfortranarray(array)
            views[name].flags.writeable = False
        for name, array in backend.run(views).items():
            assert np.array_equal(array, plain[name]), name

    def test_outputs_stay_valid_after_closing(self, entry: EngineFile, path: Path) -> None:
        opened = self.open(path, entry.inputs, entry.outputs, BackendOptions())
        outputs = opened.run(self.feeds(entry))
        before = {name: array.copy() for name, array in outputs.items()}
        opened.close()
        for name, array in outputs.items():
            assert np.array_equal(array, before[name]), name

    def test_a_run_after_closing_says_so(self, backend: Backend, entry: EngineFile) -> None:
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            backend.run(self.feeds(entry))

    def test_a_second_close_is_quiet(self, backend: Backend) -> None:
        backend.close()
        backend.close()

    @pytest.mark.parametrize("threads", [1, 2])
    def test_more_threads_give_nearly_the_same_numbers(
        self, backend: Backend, entry: EngineFile, path: Path, threads: int
    ) -> None:
        alone = backend.run(self.feeds(entry))
        other = self.open(path, entry.inputs, entry.outputs, BackendOptions(threads=threads))
        for name, array in other.run(self.feeds(entry)).items():
            np.testing.assert_allclose(array, alone[name], rtol=1e-4, atol=1e-4, err_msg=name)
        other.close()

    @pytest.mark.parametrize("content", [b"", b"no engine", b"\x00" * 5000])
    def test_a_file_that_is_no_engine_is_refused_by_name(
        self, entry: EngineFile, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "none.engine"
        path.write_bytes(content)
        with pytest.raises(EngineLoadError, match=r"none\.engine"):
            self.open(path, entry.inputs, entry.outputs, BackendOptions())

    @pytest.mark.parametrize("share", [0.3, 0.99])
    def test_half_an_engine_is_refused(
        self, entry: EngineFile, path: Path, tmp_path: Path, share: float
    ) -> None:
        raw = path.read_bytes()
        half = tmp_path / path.name
        half.write_bytes(raw[: int(len(raw) * share)])
        with pytest.raises(EngineLoadError, match=path.name):
            self.open(half, entry.inputs, entry.outputs, BackendOptions())

    def test_a_missing_file_is_refused_by_name(self, entry: EngineFile, tmp_path: Path) -> None:
        with pytest.raises(EngineLoadError, match=r"none\.engine"):
            self.open(tmp_path / "none.engine", entry.inputs, entry.outputs, BackendOptions())

    def test_an_engine_with_other_tensors_than_the_manifest_is_refused_with_both(
        self, entry: EngineFile, path: Path
    ) -> None:
        other = TensorSpec(name="novelty", shape=(1,), dtype="float32")
        with pytest.raises(EngineLoadError, match="novelty"):
            self.open(path, (*entry.inputs, other), entry.outputs, BackendOptions())
        with pytest.raises(EngineLoadError, match="novelty"):
            self.open(path, entry.inputs, (*entry.outputs[:-1], other), BackendOptions())
