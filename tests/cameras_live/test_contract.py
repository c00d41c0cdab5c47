"""The contract of all cameras, on a real GStreamer and a real RTSP server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgesam_rt.cameras import Camera, csi
from tests.cameras_live.workplace import RtspServer
from tests.contract.camera_contract import LiveCameraContract, opened

UNDER_CONTRACT = {"csi", "gst", "rtsp"}
TEST_SOURCE = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate={}"


@pytest.mark.usefixtures("gstreamer")
class TestGst(LiveCameraContract):
    ends = False

    @pytest.fixture
    def camera(self) -> Iterator[Camera]:
        yield from opened("gst:" + TEST_SOURCE.format("200/1"))

    @pytest.fixture
    def idle_camera(self) -> Iterator[Camera]:
        yield from opened("gst:" + TEST_SOURCE.format("1/60"), already_read=1)


@pytest.mark.usefixtures("gstreamer")
class TestCsiWithAnotherSource(LiveCameraContract):
    ends = False

    @pytest.fixture
    def camera(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
        monkeypatch.setattr(csi, "PIPELINE", TEST_SOURCE.format("200/1"))
        yield from opened("csi:")

    @pytest.fixture
    def idle_camera(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
        monkeypatch.setattr(csi, "PIPELINE", TEST_SOURCE.format("1/60"))
        yield from opened("csi:", already_read=1)


class TestRtsp(LiveCameraContract):
    ends = False

    @pytest.fixture
    def camera(self, steady_server: RtspServer) -> Iterator[Camera]:
        yield from opened(steady_server.url + "#probe=0.1")

    @pytest.fixture
    def idle_camera(self, steady_server: RtspServer) -> Iterator[Camera]:
        for camera in opened(steady_server.url + "#probe=0.1", already_read=1):
            steady_server.freeze()
            list(frames_of_now(camera))
            yield camera
            steady_server.thaw()


def frames_of_now(camera: Camera) -> Iterator[object]:
    """What is still on its way from a server that was just frozen."""
    while (frame := camera.read(0.2)) is not None:
        yield frame
