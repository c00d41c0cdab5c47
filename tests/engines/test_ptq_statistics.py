from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper

from edgesam_engines import calibrate
from edgesam_engines.errors import CalibrationError
from edgesam_engines.ptq import statistics
from edgesam_engines.ptq.graphs import (
    Feeds,
    float_tensors,
    grouped,
    moved_together,
    ranged_tensors,
)
from edgesam_engines.ptq.histogram import HALF_BINS, Histogram
from edgesam_engines.ptq.statistics import Statistics, channel_peaks, collect
from edgesam_rt.types import F32
from tests.engines.graph_doubles import make_graph, noise, run
from tests.engines.ptq_doubles import SHAPE, bottleneck, pictures

# A busy machine is no failure.
patient = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PORTIONS = st.lists(
    hnp.arrays(
        np.float32,
        st.integers(1, 40),
        elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False),
    ),
    min_size=1,
    max_size=6,
)


def counted(portions: list[F32]) -> Histogram:
    made = Histogram()
    for portion in portions:
        made.add(portion)
    return made


# Histogram


@patient
@given(PORTIONS)
def test_a_streamed_histogram_is_that_of_all_values_at_once(portions: list[F32]) -> None:
    streamed, batch = counted(portions), counted([np.concatenate(portions)])
    assert streamed.exponent == batch.exponent
    assert streamed.zeros == batch.zeros
    np.testing.assert_array_equal(streamed.counts, batch.counts)


@patient
@given(PORTIONS)
def test_the_order_of_the_portions_does_not_matter(portions: list[F32]) -> None:
    np.testing.assert_array_equal(counted(portions).counts, counted(portions[::-1]).counts)


@patient
@given(PORTIONS)
def test_every_value_is_counted_in_the_bin_it_lies_in(portions: list[F32]) -> None:
    made, values = counted(portions), np.concatenate(portions).astype(np.float64)
    assert made.counts.sum() + made.zeros == values.size
    edges = np.arange(-HALF_BINS, HALF_BINS + 1) * made.width
    expected, _ = np.histogram(values[values != 0], edges)
    np.testing.assert_array_equal(made.counts, expected)


def test_exact_zeros_are_counted_apart() -> None:
    made = counted([np.array([0, 0, 3, -1], np.float32)])
    assert made.zeros == 2
    assert made.counts.sum() == 2


def test_a_histogram_does_not_grow_with_what_it_is_shown() -> None:
    made = counted([noise((100_000,)), noise((10,)) * 1e6])
    assert made.counts.size == 2 * HALF_BINS


# Which tensors


def test_what_an_activation_alone_reads_and_what_was_only_moved_gets_no_range_of_its_own() -> None:
    assert set(float_tensors(bottleneck())) - set(ranged_tensors(bottleneck())) == {"e", "d", "y"}
    assert moved_together(bottleneck())["y"] == "o"


def test_a_concat_with_something_else_in_it_is_no_mere_movement() -> None:
    model = make_graph(
        [helper.make_node("Concat", ["x", "more"], ["y"], axis=1)],
        inputs={"x": (1, 3)},
        outputs={"y": (1, 4)},
        values={"more": np.ones((1, 1), np.float32)},
    )
    assert moved_together(model)["y"] == "y"


# Statistics


def test_statistics_agree_with_values_computed_apart() -> None:
    model = bottleneck()
    found = collect(model, pictures(3))
    outputs = [run(model, **feed)[0] for feed in pictures(3)]
    assert found["o"].lows == pytest.approx([v.min() for v in outputs], abs=1e-5)
    assert found["o"].highs == pytest.approx([v.max() for v in outputs], abs=1e-5)
    assert found["o"].histogram.counts.sum() == sum(v.size for v in outputs)


@pytest.mark.parametrize("watched_bytes", [1, 20_000, 1 << 30])
def test_statistics_do_not_depend_on_how_tensors_are_grouped(watched_bytes: int) -> None:
    one = collect(bottleneck(), pictures(2))
    other = collect(bottleneck(), pictures(2), watched_bytes=watched_bytes)
    assert one.keys() == other.keys()
    for name in one:
        assert other[name].extremes == pytest.approx(one[name].extremes, rel=1e-5)


def test_extremes_are_those_that_calibration_by_minmax_finds() -> None:
    ranges = calibrate.activation_ranges(bottleneck(), pictures(3), "minmax")
    for name, found in collect(bottleneck(), pictures(3)).items():
        assert found.extremes == pytest.approx(ranges[name], rel=1 / 256)


@patient
@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), max_size=20), st.integers(1, 400))
def test_groups_keep_the_order_and_the_limit(sizes: dict[str, int], limit: int) -> None:
    groups = list(grouped({n: (s,) for n, s in sizes.items()}, limit))
    assert [n for g in groups for n in g] == list(sizes)
    assert all(len(g) == 1 or sum(4 * sizes[n] for n in g) <= limit for g in groups)


def test_one_picture_at_a_time_is_in_memory() -> None:
    side = 512
    model = make_graph(
        [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])],
        inputs={"x": (1, 1, side, side)},
        outputs={"y": (1, 1, side, side)},
        values={},
    )
    feeds = Feeds(range(8), lambda seeds: ({"x": noise((1, 1, side, side), s)} for s in seeds))
    tracemalloc.start()
    collect(model, feeds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    picture = 4 * side * side
    assert peak < 12 * picture  # its inputs, outputs and what NumPy needs to count them


def test_no_picture_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CalibrationError, match="none of the pictures.*some dozen photos"):
        collect(bottleneck(), pictures(0))


def test_values_that_are_not_finite_name_their_tensor() -> None:
    bad = noise(SHAPE)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(CalibrationError, match="tensor 'x'.*not finite"):
        collect(bottleneck(), Feeds([0], lambda _: iter([{"x": bad}])))


def test_peaks_are_found_per_channel() -> None:
    peaks = channel_peaks(bottleneck(), ["s"], pictures(3))
    expected = np.max(
        [np.abs(v["s"]).max((0, 2, 3)) for v in _watched(["s"])],
        0,
    )
    np.testing.assert_allclose(peaks["s"], expected, rtol=1e-5)


def _watched(names: list[str]) -> list[dict[str, F32]]:
    return [dict(v) for v in statistics.watch(bottleneck(), names, pictures(3))]


def test_a_few_of_the_pictures_lie_evenly_among_all() -> None:
    assert list(pictures(9).few(3).items) == [0, 3, 6]


def test_statistics_of_a_picture_are_added() -> None:
    made = Statistics()
    made.add(np.array([-1, 2], np.float32))
    made.add(np.array([-3, 1], np.float32))
    assert made.extremes == (-3, 2)
    assert (made.lows, made.highs) == ([-1, -3], [2, 1])
