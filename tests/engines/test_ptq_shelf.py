"""What calibration keeps on disk, and what it makes of it the next time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from edgesam_engines.ptq import shelf as shelves
from edgesam_engines.ptq.apply import Source, quantize
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_engines.ptq.shelf import Box, Shelf
from edgesam_engines.recipe import Calibration, Estimator, Quantization
from tests.engines.ptq_doubles import bottleneck, pictures

THOROUGH = Quantization(bias_correction=True)


def told(count: int = 4) -> Feeds:
    """Pictures that say which they are."""
    return replace(pictures(count), tell=str)


def broken_off(after: int) -> Feeds:
    """The same pictures, and an interruption when so many were made."""
    left = [after]

    def make(seeds: Sequence[int]) -> Iterator[Feed]:
        for feed in pictures().make(seeds):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            yield feed

    return replace(told(), make=make)


def unmade() -> Feeds:
    """The same pictures, which cannot be made any more."""
    return replace(told(), make=lambda _: pytest.fail("looked at pictures again"))


def steps_of(source: Source, estimator: Estimator) -> tuple[bytes, list[str]]:
    steps: list[str] = []
    made = quantize(source, Calibration(estimator=estimator), THOROUGH, steps.append)
    return made.graph.SerializeToString(deterministic=True), steps


@pytest.mark.parametrize("estimator", ["minmax", "percentile", "error_guided"])
def test_a_second_build_gives_the_same_bytes_and_looks_at_no_picture(
    tmp_path: Path, estimator: Estimator
) -> None:
    graph = bottleneck()
    first, _ = steps_of(Source(graph, told(), shelf=Shelf(tmp_path)), estimator)
    again, steps = steps_of(Source(graph, unmade(), shelf=Shelf(tmp_path)), estimator)
    assert again == first == steps_of(Source(graph, told()), estimator)[0]
    assert all(step.endswith("as kept") for step in steps)


def test_an_interrupted_build_goes_on_with_the_group_that_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesam_engines.calibrate.EXTREMES_BYTES", 1)  # a group a tensor
    shelf, graph = Shelf(tmp_path), bottleneck()
    with pytest.raises(KeyboardInterrupt):
        steps_of(Source(graph, broken_off(after=10), shelf=shelf), "minmax")
    _, steps = steps_of(Source(graph, told(), shelf=shelf), "minmax")
    ranges = [step.endswith("as kept") for step in steps if step.startswith("ranges")]
    assert ranges[:3] == [True, True, False]  # 4 pictures each: the third group was cut short
    assert not any(ranges[2:])


@pytest.mark.parametrize(
    "changed",
    [
        lambda s: replace(s, graph=bottleneck(seed=50)),
        lambda s: replace(s, feeds=told(3)),
        lambda s: replace(s, feeds=replace(told(), tell=lambda _: "others")),
    ],
    ids=["another graph", "fewer pictures", "other pictures"],
)
def test_another_question_finds_nothing(
    tmp_path: Path, changed: Callable[[Source], Source]
) -> None:
    source = Source(bottleneck(), told(), shelf=Shelf(tmp_path))
    steps_of(source, "minmax")
    _, steps = steps_of(changed(source), "minmax")
    assert not any(step.endswith("as kept") for step in steps)


def test_pictures_that_do_not_say_which_they_are_are_not_kept(tmp_path: Path) -> None:
    steps_of(Source(bottleneck(), pictures(4), shelf=Shelf(tmp_path)), "minmax")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.put("1", {"rows": np.arange(1000)})
    path = tmp_path / "1.npz"
    path.write_bytes(path.read_bytes()[:300])
    assert box.take("1") is None


def test_where_nothing_can_be_written_the_build_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shelf").write_text("a file, no folder")
    made, _ = steps_of(Source(bottleneck(), told(), shelf=Shelf(tmp_path / "shelf")), "minmax")
    assert made == steps_of(Source(bottleneck(), told()), "minmax")[0]
    assert "not kept" in caplog.text


def test_boxes_longest_out_of_use_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "BOXES", 2)
    shelf, graph = Shelf(tmp_path), bottleneck()
    made = [shelf.box(graph, told(), n).folder for n in range(2)]
    for age, folder in enumerate(reversed(made)):
        assert folder is not None
        os.utime(folder, (age, age))
    shelf.box(graph, told(), "new")
    assert [folder is not None and folder.is_dir() for folder in made] == [True, False]
