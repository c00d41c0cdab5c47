"""Ratios of things measured in turns."""

from __future__ import annotations

import pytest

from benchmarks.paired import ratio_of_turns


def test_the_median_forgives_a_turn_that_was_disturbed() -> None:
    found = ratio_of_turns([10.0] * 9, [11.0] * 8 + [50.0])
    assert found["median"] == pytest.approx(1.1)
    assert found["high"] == pytest.approx(1.1)


@pytest.mark.parametrize(("n", "outside"), [(1, 0), (5, 0), (6, 0), (9, 1), (12, 2), (25, 7)])
def test_the_interval_is_that_of_the_sign_test(n: int, outside: int) -> None:
    """Values left out at each end: the table of any textbook, at 95 %."""
    found = ratio_of_turns([1.0] * n, [1.0 + i for i in range(n)])
    assert (found["low"], found["high"]) == (1.0 + outside, float(n - outside))
