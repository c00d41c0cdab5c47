"""Which library opens a pipeline where PyGObject is hidden; the real one is in cameras_live."""

from __future__ import annotations

import sys

import cv2
import pytest

from edgesam_rt.cameras import open_camera, parse_source
from edgesam_rt.errors import CameraMissing
from tests.feed_doubles import FakeCapture


@pytest.fixture(autouse=True)
def _no_pygobject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> FakeCapture:
    """An OpenCV with GStreamer, as JetPack's; what it was asked to open is its `pipeline`."""
    capture = FakeCapture()
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GStreamer:      YES (1.20.3)")
    monkeypatch.setattr(cv2, "VideoCapture", lambda text, api: asked.append((text, api)) or capture)
    capture.asked_to_open = asked  # type: ignore[attr-defined]
    return capture


def test_without_any_library_the_commands_are_said() -> None:
    with pytest.raises(CameraMissing, match=r"apt install python3-gi.*--system-site-packages"):
        open_camera(parse_source("gst:videotestsrc"))


def test_an_opencv_with_gstreamer_serves(capture: FakeCapture) -> None:
    camera = open_camera(parse_source("gst:videotestsrc is-live=true"))
    frame = camera.read(5)
    assert frame is not None
    assert frame.pixels[0, 0, 2] == 255
    camera.close()
    ((text, api),) = capture.asked_to_open  # type: ignore[attr-defined]
    assert text.startswith("videotestsrc is-live=true ! videoconvert ! video/x-raw,format=BGR ! ")
    assert "max-buffers=1 drop=true" in text
    assert api == cv2.CAP_GSTREAMER


def test_a_pipeline_that_it_cannot_play_is_missing(capture: FakeCapture) -> None:
    capture.opened = False
    with pytest.raises(CameraMissing, match="Try it with gst-launch-1.0"):
        open_camera(parse_source("gst:nosuchsource"))
    assert capture.released == 1
