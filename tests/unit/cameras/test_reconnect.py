"""Faults of every kind on a simulated clock: nothing here waits."""

from __future__ import annotations

import inspect
import itertools
import logging
from collections.abc import Callable

import pytest

from edgesam_rt.cameras.backoff import Backoff
from edgesam_rt.cameras.feed import DamagedPicture
from edgesam_rt.cameras.newest import Newest
from edgesam_rt.cameras.patience import Patience
from edgesam_rt.cameras.reconnect import MOST_STUCK, STEADY_S, LiveCamera
from edgesam_rt.errors import CameraError, CameraMissing, ConfigError, EndOfStream
from edgesam_rt.records import Frame
from tests.camera_doubles import ManualClock
from tests.feed_doubles import Event, Script, ScriptedLink, picture

UNPLUGGED = CameraError("cam: the device stopped giving frames.")
REFUSED = CameraMissing("cam: there is no such device.")
PATIENCE = Patience(open_s=4.0, stall_s=2.0, retry_s=8.0)
WAITING = Patience(open_s=4.0, stall_s=2.0, retry_s=8.0, wait=True)


def frames(count: int, every_s: float = 0.04) -> list[Event]:
    return [(every_s, picture()) for _ in range(count)]


@pytest.fixture
def script() -> Script:
    return Script(ManualClock())


@pytest.fixture
def opened(script: Script) -> Callable[..., LiveCamera]:
    def start(patience: Patience = PATIENCE) -> LiveCamera:
        return LiveCamera(
            "cam",
            lambda: pytest.fail("the script opens"),
            patience=patience,
            clock=script.clock,
            start=script.start,
            backoff=Backoff(patience.retry_s, draw=lambda: 0.0),
            pause=script.clock.advance,
        )

    return start


Open = Callable[..., LiveCamera]


def read(camera: LiveCamera, most_s: float = 60.0) -> Frame:
    """Read as the pipeline does, half a second at a time, until there is a frame."""
    for _ in range(int(most_s / 0.5)):
        frame = camera.read(0.5)
        if frame is not None:
            return frame
    raise AssertionError(f"no frame in {most_s} s: {camera.health}")


class TestFaults:
    def test_an_unplugged_camera_comes_back(self, opened: Open, script: Script) -> None:
        script.add(*frames(3), (0.0, UNPLUGGED))
        script.add((0.0, REFUSED), opens=False)
        script.add(*frames(3))
        camera = opened()
        assert [read(camera).frame_id for _ in range(6)] == [0, 1, 2, 3, 4, 5]
        health = camera.health
        assert (health.state, health.reconnects) == ("live", 1)
        assert health.breaks == {"ended": 1, "refused": 1}

    def test_a_stall_is_noticed_at_its_deadline(self, opened: Open, script: Script) -> None:
        script.add(*frames(1))
        script.add(*frames(1))
        camera = opened()
        read(camera)
        stalled_ns = script.clock.now_ns()
        read(camera)
        waited_s = (script.clock.now_ns() - stalled_ns) / 1e9
        assert waited_s == pytest.approx(2.0 + 0.5 + 0.04)  # deadline, first wait, frame
        assert camera.health.breaks == {"stalled": 1}

    def test_a_camera_that_opens_and_stays_silent_is_tried_again(
        self, opened: Open, script: Script
    ) -> None:
        script.add(*frames(1), (0.0, UNPLUGGED))
        script.add()
        script.add(*frames(1))
        camera = opened()
        read(camera)
        read(camera)
        assert camera.health.breaks == {"ended": 1, "stalled": 1}
        assert "no frame came in 4 s" in camera.health.last_error

    def test_garbage_is_told_from_an_end(self, opened: Open, script: Script) -> None:
        script.add(*frames(1), (0.0, DamagedPicture("30 damaged pictures in a row")))
        script.add(*frames(1))
        camera = opened()
        read(camera)
        read(camera)
        assert camera.health.breaks == {"garbage": 1}

    def test_pictures_that_are_all_the_same_are_no_fault(
        self, opened: Open, script: Script
    ) -> None:
        script.add(*frames(500))
        camera = opened()
        for _ in range(500):
            read(camera)
        assert (script.begun, dict(camera.health.breaks)) == (1, {})

    def test_another_size_is_no_fault(
        self, opened: Open, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        script.add((0.04, picture((8, 6))), (0.04, picture((16, 12))))
        camera = opened()
        with caplog.at_level(logging.INFO):
            assert [read(camera).image_hw for _ in range(2)] == [(6, 8), (12, 16)]
        assert camera.size_wh == (16, 12)
        assert "16x12 now, before (8, 6)" in caplog.text
        assert script.begun == 1

    def test_an_error_that_no_driver_should_raise_is_a_break_too(
        self, opened: Open, script: Script
    ) -> None:
        script.add(*frames(1), (0.0, ZeroDivisionError()))
        script.add(*frames(1))
        camera = opened()
        read(camera)
        read(camera)
        assert camera.health.last_error == "ZeroDivisionError"

    def test_a_thousand_breaks_leave_nothing_behind(self, opened: Open, script: Script) -> None:
        for _ in range(1000):
            script.add(*frames(1), (0.0, UNPLUGGED))
        camera = opened()
        assert [read(camera).frame_id for _ in range(1000)] == list(range(1000))
        assert camera.health.reconnects == 999
        assert camera.health.threads == 1
        assert len(camera._left_behind) <= MOST_STUCK

    def test_stamps_rise_over_a_break(self, opened: Open, script: Script) -> None:
        script.add(*frames(2), (0.0, UNPLUGGED))
        script.add(*frames(2))
        camera = opened()
        stamps = [read(camera).captured_at_ns for _ in range(4)]
        assert stamps == sorted(set(stamps))


class TestTheFirstConnection:
    def test_a_camera_that_is_not_there_is_an_error_at_once(
        self, opened: Open, script: Script
    ) -> None:
        script.add((0.0, REFUSED), opens=False)
        with pytest.raises(CameraMissing, match="no such device") as caught:
            opened()
        assert caught.value.exit_code == 3
        assert script.begun == 1

    def test_one_that_does_not_answer_is_missing_after_its_deadline(
        self, opened: Open, script: Script
    ) -> None:
        script.add(opens=False)
        with pytest.raises(CameraMissing, match="did not open in 4 s"):
            opened()

    def test_one_that_opens_and_gives_nothing_is_missing_too(
        self, opened: Open, script: Script
    ) -> None:
        camera = opened()
        with pytest.raises(CameraMissing, match="no frame came in 4 s"):
            read(camera)

    def test_a_wrong_configuration_stays_one(self, opened: Open, script: Script) -> None:
        script.add((0.0, ConfigError("login_file: no")), opens=False)
        with pytest.raises(ConfigError):
            opened()

    def test_what_is_waited_for_may_come_later(self, opened: Open, script: Script) -> None:
        for _ in range(3):
            script.add((0.0, REFUSED), opens=False)
        script.add(*frames(1))
        camera = opened(WAITING)
        assert camera.health.state == "connecting"
        assert camera.size_wh is None
        assert read(camera).frame_id == 0
        assert (camera.size_wh, camera.fps) == ((8, 6), 25.0)
        health = camera.health
        assert (health.state, health.reconnects, health.breaks) == ("live", 0, {"refused": 3})


class TestWaits:
    def test_they_double_up_to_the_bound(self, opened: Open, script: Script) -> None:
        for _ in range(8):
            script.add((0.0, REFUSED), opens=False)
        camera = opened(WAITING)
        begun: list[float] = []
        start_ns = script.clock.now_ns()
        while script.begun < 8:
            before = script.begun
            camera.read(0.25)
            if script.begun > before:
                begun.append((script.clock.now_ns() - start_ns) / 1e9)
        gaps = [round(b - a, 6) for a, b in zip([0.0, *begun], begun, strict=False)]
        assert gaps == [0.5, 1, 2, 4, 8, 8, 8]

    def test_chance_takes_up_to_half_away(self) -> None:
        waits = [Backoff(8.0, draw=lambda d=d: d).next_s() for d in (0.0, 0.5, 0.999)]
        assert waits == pytest.approx([0.5, 0.375, 0.25], abs=1e-3)

    def test_a_flapping_camera_is_tried_ever_less_often(self, opened: Open, script: Script) -> None:
        for _ in range(6):
            script.add(*frames(1), (0.0, UNPLUGGED))
        camera = opened()
        times = []
        for _ in range(6):
            read(camera)
            times.append(script.clock.now_ns() / 1e9)
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps == sorted(gaps)
        assert gaps[-1] > 7

    def test_a_steady_connection_begins_anew(self, opened: Open, script: Script) -> None:
        for _ in range(4):
            script.add(*frames(1), (0.0, UNPLUGGED))
        script.add(*frames(int(STEADY_S) + 2, every_s=1.0), (0.0, UNPLUGGED))
        script.add(*frames(1))
        camera = opened()
        for _ in range(4 + int(STEADY_S) + 2):
            read(camera)
        lost_ns = script.clock.now_ns()
        read(camera)
        assert (script.clock.now_ns() - lost_ns) / 1e9 == pytest.approx(0.5 + 0.04)

    def test_read_keeps_its_own_time_meanwhile(self, opened: Open, script: Script) -> None:
        script.add(*frames(1), (0.0, UNPLUGGED))
        for _ in range(9):
            script.add((0.0, REFUSED), opens=False)
        camera = opened()
        read(camera)
        for _ in range(40):
            before_ns = script.clock.now_ns()
            camera.read(0.3)
            assert script.clock.now_ns() - before_ns <= 0.3e9 + 1


class TestDriversThatHang:
    def test_readers_left_behind_are_counted_and_bounded(
        self, opened: Open, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        script.add(*frames(1), hangs=True)
        for _ in range(9):
            script.add(hangs=True)
        camera = opened()
        read(camera)
        for _ in range(400):
            assert camera.read(0.5) is None
        assert script.begun == MOST_STUCK
        assert (camera.health.state, camera.health.threads) == ("stuck", MOST_STUCK)
        assert caplog.text.count("stuck") == 1

    def test_when_a_driver_lets_go_the_camera_is_tried_again(
        self, opened: Open, script: Script
    ) -> None:
        links = [script.add(*frames(1), hangs=True), script.add(hangs=True)]
        links.append(script.add(hangs=True))
        camera = opened()
        read(camera)
        for _ in range(100):
            camera.read(0.5)
        assert camera.health.state == "stuck"
        script.add(*frames(1))
        links[1].let_go()
        assert read(camera).frame_id == 1
        assert camera.health.state == "live"
        assert camera.health.threads == 3


class TestWhatIsSaid:
    def test_a_change_of_state_is_logged_once(
        self, opened: Open, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        script.add(*frames(1), (0.0, UNPLUGGED))
        for _ in range(5):
            script.add((0.0, REFUSED), opens=False)
        script.add(*frames(1))
        camera = opened()
        with caplog.at_level(logging.INFO):
            read(camera)
            read(camera)
        assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
            (
                "WARNING",
                "camera cam: lost, trying again (ended): the device stopped giving frames.",
            ),
            ("INFO", "camera cam: back after 23.5 s and 6 tries"),
        ]

    def test_a_first_connection_that_works_is_no_news(
        self, opened: Open, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        script.add(*frames(1))
        with caplog.at_level(logging.DEBUG):
            read(opened())
        assert caplog.text == ""

    def test_health_tells_the_age_of_the_last_frame_and_the_error(
        self, opened: Open, script: Script
    ) -> None:
        script.add(*frames(1), (1.0, CameraError("cam: rtsp://me:hunter2@host/cam is gone.")))
        script.add((0.0, REFUSED), opens=False)
        camera = opened()
        assert camera.health.frame_age_s is None
        read(camera)
        camera.read(1.25)
        health = camera.health
        assert health.state == "lost"
        assert health.frame_age_s == pytest.approx(1.25)
        assert health.last_error == "rtsp://***@host/cam is gone."

    def test_a_closed_camera_says_so(self, opened: Open, script: Script) -> None:
        script.add(*frames(1))
        camera = opened()
        camera.close()
        assert camera.health.state == "closed"
        assert camera.health.threads == 0
        with pytest.raises(EndOfStream):
            camera.read(1.0)


def test_the_double_of_a_connection_is_called_like_the_real_one() -> None:
    for name in ("opened", "get", "close"):
        double, real = (inspect.signature(getattr(c, name)) for c in (ScriptedLink, Newest))
        assert list(double.parameters) == list(real.parameters)
    assert all(
        isinstance(getattr(c, n), property)
        for c in (ScriptedLink, Newest)
        for n in ("feed", "is_alive")
    )
