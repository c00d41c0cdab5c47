from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, helper

from edgesam_engines import calibrate
from edgesam_engines.errors import CalibrationError
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_engines.recipe import Calibration
from edgesam_rt.bundle import Bundle
from edgesam_rt.types import F32
from tests.engines.graph_doubles import make_graph, noise


def write_pictures(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((40, 60, 3), 20 * i % 255, np.uint8))
    return paths


# Which pictures


def test_pictures_are_found_below_the_folder_in_order_whatever_their_case(tmp_path: Path) -> None:
    write_pictures(tmp_path / "b", 1)
    (first,) = write_pictures(tmp_path / "a", 1)
    first.rename(tmp_path / "a" / "000.JPG")
    (tmp_path / "notes.txt").write_text("no picture")
    found = [str(p.relative_to(tmp_path)) for p in calibrate.photos(tmp_path)]
    assert found == ["a/000.JPG", "b/000.jpg"]


@pytest.mark.parametrize(("name", "what"), [("empty", "pictures"), ("missing", "such folder")])
def test_a_folder_without_pictures_is_said_with_what_to_give(
    tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match=rf"{name}: no {what}.*some dozen photos"):
        calibrate.photos(tmp_path / name)


@given(st.integers(1, 400), st.integers(1, 100))
def test_chosen_pictures_lie_evenly_over_the_whole_list(total: int, count: int) -> None:
    """The list is sorted, so that neighbours come from one source: the last ones count, too."""
    chosen = [int(p.name) for p in calibrate.spread([Path(str(i)) for i in range(total)], count)]
    assert len(chosen) == min(total, count)
    assert chosen == sorted(set(chosen))
    gap = total / len(chosen)
    edges = np.diff([-1, *chosen, total])
    assert edges.max() <= 2 * gap + 1


@pytest.mark.parametrize("photos", [3, 4, 7, 20])
def test_engines_are_checked_on_pictures_they_were_not_calibrated_on(
    tmp_path: Path, photos: int
) -> None:
    write_pictures(tmp_path, photos)
    use, rest = calibrate.chosen_photos(tmp_path, Calibration(photos=3))
    assert len(use) == 3
    assert rest
    if photos > 3:
        assert not set(use) & set(rest)


def test_a_picture_that_cannot_be_read_is_left_out_with_a_warning(
    tmp_path: Path, default_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_pictures(tmp_path, 3)
    paths[1].write_bytes(b"no picture")
    preprocess = default_bundle.manifest.preprocess
    assert len(list(calibrate.pictures(paths, 64, preprocess))) == 2
    assert "001.jpg" in caplog.text


def test_pictures_come_as_the_runtime_would_feed_them(
    tmp_path: Path, default_bundle: Bundle
) -> None:
    preprocess = default_bundle.manifest.preprocess
    (path,) = write_pictures(tmp_path, 1)
    cv2.imwrite(str(path.with_suffix(".png")), np.full((40, 60, 3), (10, 20, 200), np.uint8))
    (feed,) = calibrate.encoder_feeds([path.with_suffix(".png")], 64, preprocess, (1, 3, 64, 64))
    assert feed.dtype == np.float32
    expected = (np.array([200, 20, 10]) - preprocess.mean) / preprocess.std
    np.testing.assert_allclose(feed[0, :, 5, 5], expected, atol=1e-6)
    padding = (preprocess.pad_value - preprocess.mean[0]) / preprocess.std[0]
    np.testing.assert_allclose(feed[0, :, -1, -1], padding, atol=1e-6)


# Ranges


def doubling() -> ModelProto:
    return make_graph(
        [helper.make_node("Add", ["x", "x"], ["t"]), helper.make_node("Relu", ["t"], ["y"])],
        inputs={"x": (1, 3)},
        outputs={"y": (1, 3)},
        values={},
    )


def fed(*values: F32) -> Feeds:
    return Feeds([{"x": v} for v in values], iter)


FEEDS = fed(np.array([[-1, 0, 2]], np.float32), np.array([[-3, 1, 4]], np.float32))


def test_minmax_takes_the_extremes_over_all_pictures() -> None:
    ranges = calibrate.activation_ranges(doubling(), FEEDS, "minmax")
    assert ranges == {"x": (-3, 4), "t": (-6, 8), "y": (0, 8)}


def test_mean_minmax_takes_the_mean_of_each_pictures_extremes() -> None:
    ranges = calibrate.activation_ranges(doubling(), FEEDS, "mean_minmax")
    assert ranges == {"x": (-2, 3), "t": (-4, 6), "y": (0, 6)}


def test_no_picture_at_all_is_an_error() -> None:
    with pytest.raises(CalibrationError, match="none of the pictures"):
        calibrate.activation_ranges(doubling(), fed(), "minmax")


def test_pictures_are_taken_one_by_one() -> None:
    alive: list[int] = []

    def one_at_a_time(seeds: Sequence[int]) -> Iterator[Feed]:
        for i in seeds:
            alive.append(i)
            yield {"x": noise((1, 3), i)}
            alive.remove(i)
            assert alive == []

    calibrate.activation_ranges(doubling(), Feeds(range(5), one_at_a_time), "minmax")
    assert alive == []


def test_the_graph_is_left_as_it_is() -> None:
    model = doubling()
    before = model.SerializeToString()
    calibrate.activation_ranges(model, FEEDS, "minmax")
    assert model.SerializeToString() == before


@given(st.floats(1e-6, 1e6, allow_subnormal=False), st.booleans())
def test_ranges_are_rounded_by_less_than_half_a_step_of_8_bits(value: float, minus: bool) -> None:
    exact = np.float32(-value if minus else value)
    feed: F32 = np.array([[exact, 0, 0]], np.float32)
    low, high = calibrate.activation_ranges(doubling(), fed(feed), "minmax")["x"]
    rounded = low if minus else high
    assert abs(rounded - exact) <= abs(exact) / 512


@pytest.mark.parametrize("estimator", ["minmax", "mean_minmax"])
def test_ranges_are_the_same_when_tensors_are_watched_in_groups(
    monkeypatch: pytest.MonkeyPatch, estimator: str
) -> None:
    whole = calibrate.activation_ranges(doubling(), FEEDS, estimator)
    monkeypatch.setattr(calibrate, "EXTREMES_BYTES", 1)
    assert calibrate.activation_ranges(doubling(), FEEDS, estimator) == whole
