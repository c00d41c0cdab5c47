from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from edgesam_engines.ptq.apply import Source, estimated, ranges_of
from edgesam_engines.ptq.estimators import ESTIMATORS, relative_error
from edgesam_engines.ptq.graphs import Feed, Feeds, float_tensors, ranged_tensors
from edgesam_engines.ptq.local import local_errors
from edgesam_engines.ptq.ranges import for_every_tensor, tidy
from edgesam_engines.ptq.rounding import rounding_of
from edgesam_engines.ptq.search import grid
from edgesam_engines.ptq.statistics import Statistics, collect
from edgesam_engines.quantize import to_qdq
from edgesam_engines.recipe import Calibration
from edgesam_rt.types import F32
from tests.engines.graph_doubles import make_graph, noise
from tests.engines.ptq_doubles import bottleneck, pictures, source

ALL = [*ESTIMATORS, "error_guided"]


def seen(*portions: F32) -> Statistics:
    made = Statistics()
    for values in portions:
        made.add(np.asarray(values, np.float32))
    return made


def outlier(seed: int = 0, count: int = 20_000) -> F32:
    """Normal values and one far away."""
    values = np.random.default_rng(seed).standard_normal(count).astype(np.float32)
    values[0] = 100
    return values


def by(name: str, statistics: Statistics, **more: object) -> tuple[float, float]:
    made = Calibration(estimator=name, **more)  # type: ignore[arg-type]
    return ESTIMATORS[name](statistics, made)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(ESTIMATORS)),
    st.integers(0, 1000),
    st.floats(-5, 5, width=32),
    st.floats(0.001953125, 1024, width=32),
    st.booleans(),
)
def test_every_estimate_lies_within_smallest_and_largest_value(
    name: str, seed: int, shift: float, size: float, one_sided: bool
) -> None:
    random = np.random.default_rng(seed)
    portions = [(random.standard_normal(300) + shift) * size for _ in range(3)]
    if one_sided:
        portions = [np.maximum(p, 0) for p in portions]
    statistics = seen(*portions)
    low, high = by(name, statistics)
    least, most = statistics.extremes
    assert least <= low <= high <= most


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_estimate_stays_within_values_that_all_lie_on_one_side_of_zero(
    name: str, sign: int
) -> None:
    values = sign * (np.random.default_rng(0).standard_normal(900) + 4.734375)
    statistics = seen(values)
    low, high = by(name, statistics)
    least, most = statistics.extremes
    assert least <= low <= high <= most


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_tensor_of_zeros_alone_is_no_problem(name: str) -> None:
    assert by(name, seen(np.zeros(9))) == (0, 0)


def test_a_moving_average_forgets_slowly_and_starts_at_the_first_picture() -> None:
    statistics = seen(np.array([-1, 1]), np.array([-2, 3]))
    low, high = by("moving_average", statistics, momentum=0.75)
    assert (low, high) == (-1.25, 1.5)


def test_a_percentile_cuts_half_of_the_rest_at_either_end() -> None:
    values = np.linspace(-1, 1, 10_001)
    low, high = by("percentile", seen(values), percentile=90.0)
    assert low == pytest.approx(-0.9, abs=0.002)
    assert high == pytest.approx(0.9, abs=0.002)
    assert by("percentile", seen(values), percentile=100.0) == pytest.approx((-1, 1), abs=1e-3)


@pytest.mark.parametrize("name", ["percentile", "entropy"])
def test_one_value_far_away_does_not_set_the_range(name: str) -> None:
    assert by(name, seen(outlier()))[1] < 60
    assert by("minmax", seen(outlier()))[1] == 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(sorted(ESTIMATORS)))
def test_no_estimate_has_less_squared_error_than_that_by_squared_error(
    seed: int, name: str
) -> None:
    """Among the candidates; a percentile may hit a range between two of them."""
    statistics = seen(np.random.default_rng(seed).standard_t(3, 5000))
    best = relative_error(statistics, *by("mse", statistics))
    assert best <= 1.02 * relative_error(statistics, *by(name, statistics))


def test_the_squared_error_of_a_histogram_is_that_of_rounding_the_values() -> None:
    values = np.random.default_rng(0).standard_normal(50_000)
    low, high = -2.0, 3.0
    scale, zero = grid(low, high)
    rounded = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
    exact = np.square(values - rounded).sum() / np.square(values).sum()
    assert relative_error(seen(values), low, high) == pytest.approx(exact, rel=0.02)


# Ranges of a whole graph


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_gets_a_range_and_moved_values_that_of_their_source(name: str) -> None:
    ranges = ranges_of(source(), Calibration(estimator=name))
    assert ranges.keys() == float_tensors(bottleneck()).keys()
    assert ranges["y"] == ranges["o"]


@pytest.mark.parametrize("name", ALL)
def test_the_same_pictures_give_the_same_ranges(name: str) -> None:
    once, again = (ranges_of(source(), Calibration(estimator=name)) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("name", ALL)
def test_statistics_gathered_before_give_the_same_ranges(name: str) -> None:
    given_statistics = collect(bottleneck(), pictures())
    calibration = Calibration(estimator=name)
    early = estimated(source(), given_statistics, calibration)
    late = ranges_of(source(), calibration)
    assert {n: early[n] for n in ranged_tensors(bottleneck())} == {
        n: late[n] for n in ranged_tensors(bottleneck())
    }


def test_a_guided_range_cuts_one_value_where_that_makes_the_layers_error_smaller() -> None:
    shape = (1, 3, 128, 128)
    model = make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "layer")],
        inputs={"x": shape},
        outputs={"y": (1, 4, 128, 128)},
        values={"w": noise((4, 3, 1, 1))},
    )

    def make(seeds: Sequence[int]) -> Iterator[Feed]:
        for seed in seeds:
            values = np.random.default_rng(seed).random(shape, np.float32)
            values[0, 0, 0, 0] = 1.1
            yield {"x": values}

    made = Source(model, Feeds(range(2), make))
    noises = {}
    for name in ("minmax", "error_guided"):
        ranges = ranges_of(made, Calibration(estimator=name))
        errors = local_errors(model, rounding_of(to_qdq(model, ranges)), made.feeds)
        noises[name] = errors["layer"].noise
    assert noises["error_guided"] < noises["minmax"]


def test_rounding_ranges_is_repeatable() -> None:
    assert tidy(tidy(0.123456)) == tidy(0.123456)
    assert tidy(0.0) == 0.0


def test_what_an_activation_cuts_has_the_range_behind_it() -> None:
    extremes = {n: s.extremes for n, s in collect(bottleneck(), pictures()).items()}
    ranges = for_every_tensor(bottleneck(), extremes)
    assert ranges["e"] == ranges["e6"] == (0, pytest.approx(extremes["e6"][1], rel=1 / 256))
