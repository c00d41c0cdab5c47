from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.pipeline.series import Series


@given(st.lists(st.floats(0, 1e6)), st.integers(1, 9), st.integers(0, 12))
def test_a_series_keeps_the_newest_and_counts_all(
    values: list[float], kept: int, most: int
) -> None:
    series = Series(kept)
    for value in values:
        series.add(value)
    assert series.count == len(values)
    assert sorted(series.values()) == sorted(values[-kept:])
    assert series.newest(most).tolist() == (values[-min(most, kept) :] if most else [])


def test_what_was_read_does_not_change_later() -> None:
    series = Series(2)
    series.add(1)
    read = series.values(), series.newest(1)
    series.add(2)
    series.add(3)
    assert [part.tolist() for part in read] == [[1.0], [1.0]]
