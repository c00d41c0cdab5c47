"""From a source's time to ours."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.cameras.stamps import MOST_OLD_NS, StreamTime, plausible_ns

NOW_NS = 10**15
PERIOD_S = 0.04


def test_a_stamp_of_our_clock_is_believed() -> None:
    assert plausible_ns(NOW_NS - 30_000_000, NOW_NS) == NOW_NS - 30_000_000


def test_one_from_the_future_or_another_age_is_not() -> None:
    for stamp_ns in (NOW_NS + 1, NOW_NS - MOST_OLD_NS - 1, 0):
        assert plausible_ns(stamp_ns, NOW_NS) == NOW_NS


@given(st.lists(st.integers(0, 200_000_000), min_size=2, max_size=60))
def test_jitter_is_taken_out_and_time_never_turns_back(delays_ns: list[int]) -> None:
    stream = StreamTime()
    captured = []
    arrived_ns = 0
    for i, delay_ns in enumerate(delays_ns):
        made_ns = NOW_NS + round(i * PERIOD_S * 1e9)
        arrived_ns = max(arrived_ns + 1, made_ns + delay_ns)
        captured.append(stream.captured_ns(7.0 + i * PERIOD_S, arrived_ns))
        assert captured[-1] <= arrived_ns
        assert captured[-1] >= made_ns
    assert all(a < b for a, b in itertools.pairwise(captured))


def test_after_one_quick_arrival_the_steps_are_the_cameras() -> None:
    stream = StreamTime()
    stream.captured_ns(1.0, NOW_NS)
    late = stream.captured_ns(1.0 + PERIOD_S, NOW_NS + 90_000_000)
    assert late - NOW_NS == 40_000_000


def test_a_stream_that_begins_anew_is_stamped_by_its_arrival() -> None:
    stream = StreamTime()
    stream.captured_ns(100.0, NOW_NS)
    for stream_s in (0.0, 50.0, 50.0):
        arrived_ns = NOW_NS + round(stream_s * 1e9) + 500
        assert stream.captured_ns(stream_s, arrived_ns) == arrived_ns


def test_a_drifting_clock_is_followed() -> None:
    """A server whose clock is 100 ppm fast: ten minutes later stamps are still right."""
    stream = StreamTime()
    for i in range(25 * 600):
        arrived_ns = NOW_NS + round(i * PERIOD_S * 1e9)
        captured_ns = stream.captured_ns(i * PERIOD_S * 1.0001, arrived_ns)
    assert 0 <= arrived_ns - captured_ns < 2_000_000
    slow = StreamTime()
    for i in range(25 * 600):
        arrived_ns = NOW_NS + round(i * PERIOD_S * 1e9)
        captured_ns = slow.captured_ns(i * PERIOD_S * 0.9999, arrived_ns)
    assert 0 <= arrived_ns - captured_ns < 2_000_000
