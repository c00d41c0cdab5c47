"""READY and WATCHDOG come from results, and from nothing else."""

from __future__ import annotations

import pytest

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.records import Timings
from edgesam_rt.service.heart import Heart
from edgesam_rt.service.notify import Notifier
from edgesam_rt.service.status import EVERY_S, Facts, StatusLine
from tests.camera_doubles import ManualClock
from tests.result_doubles import make_result
from tests.service.listening import Listening

INTERVAL_S = 60.0


@pytest.fixture
def heart(notifier: Notifier, clock: ManualClock) -> Heart:
    return Heart(notifier, INTERVAL_S, clock=clock)


def test_ready_comes_with_the_first_result_and_once(heart: Heart, systemd: Listening) -> None:
    assert systemd.heard() == []
    heart.beat(make_result())
    assert systemd.heard() == [{"READY": "1", "WATCHDOG": "1"}]
    heart.beat(make_result())
    assert systemd.heard() == []


def test_results_feed_the_watchdog_a_few_times_per_interval(
    heart: Heart, systemd: Listening, clock: ManualClock
) -> None:
    for _ in range(600):  # a minute of ten results per second
        heart.beat(make_result())
        clock.advance(0.1)
    fed = [each for each in systemd.heard() if "WATCHDOG" in each]
    assert 4 <= len(fed) <= 5


def test_a_stalled_camera_feeds_nothing_however_long_it_lasts(
    heart: Heart, notifier: Notifier, systemd: Listening, clock: ManualClock
) -> None:
    status = StatusLine(lambda text: notifier.send(STATUS=text), clock=clock)
    heart.beat(make_result())
    systemd.heard()
    for _ in range(1200):  # two minutes in which the main thread lives and no result comes
        clock.advance(0.1)
        status.look(Facts(1, 0, CameraHealth("lost"), heart.step, heart.age_p95_ms()))
    assert {key for each in systemd.heard() for key in each} == {"STATUS"}
    heart.beat(make_result())
    assert systemd.heard() == [{"WATCHDOG": "1"}]


def test_without_a_watchdog_it_says_ready_alone(
    notifier: Notifier, systemd: Listening, clock: ManualClock
) -> None:
    heart = Heart(notifier, None, clock=clock)
    heart.beat(make_result())
    clock.advance(1000)
    heart.beat(make_result())
    assert [key for each in systemd.heard() for key in each] == ["READY", "WATCHDOG"]


def test_the_status_has_rate_step_age_and_reconnects(clock: ManualClock) -> None:
    lines: list[str] = []
    status = StatusLine(lines.append, clock=clock)
    status.look(Facts(0, 0, CameraHealth("connecting"), None, None))
    assert lines == ["no result yet, camera connecting"]
    clock.advance(EVERY_S)
    status.look(Facts(60, 0, CameraHealth("live", reconnects=2), 1, 84.2))
    assert lines[1] == "12.0 results per second, ladder step 1, age p95 84 ms, 2 reconnects"
    clock.advance(0.1)
    status.look(Facts(61, 0, CameraHealth("live", reconnects=2), 1, 84.2))
    assert len(lines) == 2  # nothing changed, and it is early
    lost = CameraHealth("lost", reconnects=2, last_error="no frame in 5 s")
    status.look(Facts(61, 3, lost, 1, 84.2))
    assert lines[2].startswith("camera lost (no frame in 5 s), 12.0 results per second")
    assert lines[2].endswith("3 results lost by sinks")


def test_the_age_is_the_95th_percentile_of_the_newest(heart: Heart) -> None:
    assert heart.age_p95_ms() is None
    for age_ms in range(101):
        heart.beat(make_result(timings=Timings(0, 0, 0, 0, 0, float(age_ms))))
    assert heart.age_p95_ms() == pytest.approx(95.0)
