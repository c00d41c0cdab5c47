from __future__ import annotations

from edgesam_rt.everything.pace import Pace


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        return self.now

    def sleep_s(self, seconds: float) -> None:
        raise AssertionError(seconds)


def test_without_a_deadline_everything_is_allowed() -> None:
    pace = Pace(None, HandClock())
    with pace.spending("score", 1):
        pass
    assert pace.allows("score", 10**9)


def test_a_step_is_allowed_while_its_cost_fits() -> None:
    clock = HandClock()
    pace = Pace(100, clock)
    assert pace.allows("score", 64)  # never taken: nothing is known of it
    with pace.spending("score", 4):
        clock.now += 40
    assert pace.allows("score", 5)
    assert not pace.allows("score", 6)
    clock.now = 100
    assert not pace.allows("make", 1)


def test_the_cost_of_a_step_follows_the_newest() -> None:
    clock = HandClock()
    pace = Pace(1000, clock)
    for _ in range(30):
        with pace.spending("make", 1):
            clock.now += 1
    with pace.spending("make", 1):
        clock.now += 101
    assert clock.now == 131
    assert pace.allows("make", 20)
    assert not pace.allows("make", 30)  # 31 each now
