"""What every sink promises. Inherit, give `spec` and `read_back`, and prove it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.errors import EdgeSamError, SinkError
from edgesam_rt.records import Prompt
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo, Sink
from tests.result_doubles import make_result


class SinkContract:
    """A subclass says how its sink is named, and how many results can be read from its output."""

    keeps_results = True  # whether anything can be read back

    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        """What to open: its output lies under `tmp_path`."""
        raise NotImplementedError

    @pytest.fixture
    def sink(self, spec: str) -> Sink:
        """Opened as the command line does."""
        return open_sink(parse_sink(spec), RunInfo(fps=25.0))

    def read_back(self, sink: Sink, folder: Path) -> int:
        """Return how many results whole output there is of."""
        raise NotImplementedError

    def count(self, sink: Sink, folder: Path) -> int:
        return self.read_back(sink, folder) if self.keeps_results else 0

    def test_the_name_is_what_it_was_opened_with(self, sink: Sink, spec: str) -> None:
        assert sink.name == spec.partition("?")[0]
        sink.close()

    def test_what_is_written_can_be_read_after_closing(self, sink: Sink, tmp_path: Path) -> None:
        for i in range(3):
            sink.write(make_result(i))
        sink.close()
        assert self.count(sink, tmp_path) == (3 if self.keeps_results else 0)

    def test_a_second_close_is_quiet(self, sink: Sink) -> None:
        sink.write(make_result())
        sink.close()
        sink.close()

    def test_no_result_at_all_leaves_nothing_broken(self, sink: Sink, tmp_path: Path) -> None:
        sink.close()
        sink.close()
        assert self.count(sink, tmp_path) == 0

    def test_results_without_objects_and_with_odd_ones_are_taken(
        self, sink: Sink, tmp_path: Path
    ) -> None:
        nan = np.array([np.nan, 1.0], np.float32)
        masks = make_result().masks
        sink.write(make_result(0, boxes=(), prompts=()))
        sink.write(make_result(1, boxes=((900, 900, 950, 950), (0, 0, 500, 500))))
        sink.write(make_result(2, masks=type(masks)(masks.low_res_logits, nan, masks.fit)))
        sink.write(make_result(3, image_hw=(31, 57), boxes=((1, 1, 20, 20),)))
        sink.write(make_result(4, prompts=(Prompt.point(3, 3), Prompt.point(4, 4))))
        sink.close()
        if self.keeps_results:
            assert self.count(sink, tmp_path) >= 4  # a result without objects may leave nothing


class WritingSinkContract(SinkContract):
    """For sinks that write to a disk."""

    def break_writes(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the disk be full from now on."""
        raise NotImplementedError

    def test_a_full_disk_is_said_and_loses_nothing_written_before(
        self, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for i in range(3):
            sink.write(make_result(i))
        with monkeypatch.context() as patch:
            self.break_writes(sink, patch)
            with pytest.raises(SinkError, match=r"(No space|MB are left).* Free some space"):
                sink.write(make_result(3))
        sink.close()
        assert self.count(sink, tmp_path) == 3
        assert not [path.name for path in tmp_path.rglob("*.part")]

    def test_a_write_error_is_of_our_own_kind(
        self, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            self.break_writes(sink, patch)
            with pytest.raises(EdgeSamError) as caught:
                sink.write(make_result())
        assert sink.name in str(caught.value)
        sink.close()
