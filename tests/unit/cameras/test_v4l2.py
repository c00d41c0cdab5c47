"""V4L2 cameras, on a double of OpenCV's capture: no device is needed, and none was met yet."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from edgesam_rt.cameras import open_camera, parse_source
from edgesam_rt.cameras.patience import Patience
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.v4l2 import V4l2Feed, check_device
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import CameraMissing
from edgesam_rt.records import Frame
from tests.feed_doubles import FakeCapture

Open = Callable[..., LiveCamera]
DEVICE = "/dev/video0"


def feed_on(capture: FakeCapture, **asked: object) -> V4l2Feed:
    """A feed on the double, with the defaults of the options."""
    whole = {"size": None, "fps": None, "format": "mjpg", **asked}
    return V4l2Feed(DEVICE, whole, CLOCK, open_capture=lambda _: capture)


@pytest.fixture
def capture() -> FakeCapture:
    return FakeCapture()


@pytest.fixture
def opened(capture: FakeCapture) -> Iterator[Open]:
    """Opens cameras on the double, and closes them after the test."""
    cameras: list[LiveCamera] = []

    def start(**asked: object) -> LiveCamera:
        patience = Patience(retry_s=0.01)
        cameras.append(LiveCamera("v4l2:0", lambda: feed_on(capture, **asked), patience=patience))
        return cameras[-1]

    yield start
    capture.go.set()
    for camera in cameras:
        camera.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def read(camera: LiveCamera) -> Frame:
    frame = camera.read(5)
    assert frame is not None
    return frame


class TestTheDevice:
    def test_a_missing_one_lists_those_that_are_there(self, tmp_path: Path) -> None:
        for name in ("video0", "video10"):
            (tmp_path / name).touch()
        with pytest.raises(CameraMissing, match=r"Cameras here: .*video0, .*video10") as caught:
            check_device(f"{tmp_path}/video9", folder=str(tmp_path))
        assert caught.value.exit_code == 3

    def test_a_machine_without_cameras_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(CameraMissing, match=r"No .*video. is there"):
            check_device(f"{tmp_path}/video0", folder=str(tmp_path))

    def test_no_permission_names_the_group(self) -> None:
        with pytest.raises(CameraMissing, match="usermod -aG video"):
            check_device("/dev/null", may_use=lambda path, mode: False)

    def test_a_link_is_resolved(self, tmp_path: Path) -> None:
        link = tmp_path / "usb-046d:0825-video-index0"
        link.symlink_to("/dev/null")
        assert check_device(str(link)) == "/dev/null"

    def test_a_plain_file_is_no_device(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").touch()
        with pytest.raises(CameraMissing, match="is not a device"):
            check_device(str(tmp_path / "clip.mp4"))

    @pytest.mark.parametrize("source", ["v4l2:987", "v4l2:/dev/video987", "/dev/video987"])
    def test_the_command_line_meets_the_same_checks(self, source: str) -> None:
        with pytest.raises(CameraMissing, match="there is no /dev/video987"):
            open_camera(parse_source(source))

    def test_what_is_no_camera_does_not_open(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(CameraMissing, match="does not open as a camera"):
            open_camera(parse_source("v4l2:/dev/null"))
        assert capfd.readouterr().err == ""

    def test_one_that_is_not_there_yet_can_be_waited_for(self) -> None:
        camera = open_camera(parse_source("v4l2:987?wait=1"))
        assert camera.read(0.01) is None
        assert "there is no /dev/video987" in camera.health.last_error
        camera.close()


class TestReading:
    def test_frames_are_rgb_stamped_and_numbered(self, opened: Open) -> None:
        frame = read(opened())
        assert frame.pixels[0, 0].tolist()[0] == 0
        assert frame.pixels[0, 0].tolist()[2] == 255
        assert frame.name == f"frame-{frame.frame_id:06d}"

    def test_a_slow_reader_gets_the_newest_and_the_rest_is_late(
        self, opened: Open, capture: FakeCapture
    ) -> None:
        camera = opened()
        first = read(camera)
        grabbed = capture.grabbed
        wait_for(lambda: capture.grabbed >= grabbed + 6)
        later = read(camera)
        assert later.frame_id >= first.frame_id + 4
        assert camera.losses["late"] >= later.frame_id - first.frame_id - 1

    def test_a_device_that_stops_is_opened_again(self, opened: Open, capture: FakeCapture) -> None:
        capture.pictures = 3
        camera = opened()
        read(camera)
        wait_for(lambda: capture.released == 1)
        capture.pictures = None
        wait_for(lambda: camera.read(0.1) is not None and camera.health.reconnects == 1)
        assert "stopped giving frames" in camera.health.last_error

    def test_a_damaged_picture_is_counted_and_passed_over(
        self, opened: Open, capture: FakeCapture
    ) -> None:
        capture.damaged = {0, 1}
        camera = opened()
        read(camera)
        assert camera.losses["unreadable"] == 2

    def test_nothing_but_damaged_pictures_is_an_error(
        self, opened: Open, capture: FakeCapture
    ) -> None:
        capture.damaged = set(range(1000))
        with pytest.raises(CameraMissing, match="30 damaged pictures in a row"):
            opened().read(5)

    def test_the_device_is_given_back_once_and_never_while_it_is_read(
        self, opened: Open, capture: FakeCapture
    ) -> None:
        camera = opened()
        read(camera)
        closers = [threading.Thread(target=camera.close) for _ in range(3)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(5)
        wait_for(lambda: capture.released == 1)
        assert not capture.released_while_grabbing


class TestStamps:
    def test_the_drivers_own_stamp_is_the_time_of_capture(self, capture: FakeCapture) -> None:
        taken_ns = CLOCK.now_ns() - 30_000_000
        capture.stamp_ms = taken_ns / 1e6
        picture = feed_on(capture).take()
        assert picture is not None
        assert abs(picture.captured_at_ns - taken_ns) < 1000

    @pytest.mark.parametrize("stamp_ms", [0.0, -1.0, 1.7e12])
    def test_a_stamp_of_another_clock_is_not_believed(
        self, capture: FakeCapture, stamp_ms: float
    ) -> None:
        capture.stamp_ms = stamp_ms
        before_ns = CLOCK.now_ns()
        picture = feed_on(capture).take()
        assert picture is not None
        assert before_ns < picture.captured_at_ns <= CLOCK.now_ns()


class TestAsking:
    def test_the_mode_is_asked_for(self, capture: FakeCapture) -> None:
        capture.fourcc = cv2.VideoWriter.fourcc(*"YUYV")
        feed = feed_on(capture, size=(64, 48), fps=15.0, format="yuyv")
        assert capture.asked == {
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
            cv2.CAP_PROP_FRAME_WIDTH: 64,
            cv2.CAP_PROP_FRAME_HEIGHT: 48,
            cv2.CAP_PROP_FPS: 15,
            cv2.CAP_PROP_BUFFERSIZE: 1,
        }
        assert (feed.size_wh, feed.fps) == ((64, 48), 30)

    def test_the_camera_tells_what_the_driver_gives(self, opened: Open) -> None:
        camera = opened()
        assert (camera.size_wh, camera.fps, camera.live, camera.length) == (
            (64, 48),
            30,
            True,
            None,
        )

    def test_another_mode_than_asked_is_logged(
        self, capture: FakeCapture, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            feed_on(capture, size=(1280, 720), format="yuyv")
        assert "asked for size (1280, 720), the camera gives (64, 48)" in caplog.text
        assert "asked for format yuyv, the camera gives mjpg" in caplog.text

    def test_the_mode_that_was_asked_for_is_no_news(
        self, capture: FakeCapture, caplog: pytest.LogCaptureFixture
    ) -> None:
        feed_on(capture, size=(64, 48))
        assert caplog.text == ""

    def test_a_refused_device_is_missing(self, opened: Open, capture: FakeCapture) -> None:
        capture.opened = False
        with pytest.raises(CameraMissing, match="Another program may hold it"):
            opened()
        assert capture.released == 1
