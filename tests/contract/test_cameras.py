"""Every camera keeps the contract."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesam_rt.cameras import Camera, picamera, v4l2
from edgesam_rt.cameras.picamera import Library
from edgesam_rt.cameras.table import SOURCES
from tests.camera_doubles import cut, write_video
from tests.cameras_live.test_contract import UNDER_CONTRACT as UNDER_CONTRACT_LIVE
from tests.contract.camera_contract import CameraContract, LiveCameraContract, opened
from tests.feed_doubles import FakeCapture, fake_library

UNDER_CONTRACT = {"file", "images", "picamera", "synthetic", "v4l2"}


def test_every_row_of_the_table_is_under_contract() -> None:
    assert set(SOURCES) == UNDER_CONTRACT | UNDER_CONTRACT_LIVE


class TestImages(CameraContract):
    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[Camera]:
        for i in range(4):
            Image.fromarray(np.full((20 + i, 30, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:-20])
        yield from opened(str(tmp_path))


class TestVideo(CameraContract):
    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[Camera]:
        yield from opened(f"file:{write_video(tmp_path / 'clip.avi', 10)}")


class TestVideoThatEndsEarly(CameraContract):
    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[Camera]:
        yield from opened(str(cut(write_video(tmp_path / "clip.avi", 10), keep=0.6)))


class TestLoopingVideo(CameraContract):
    ends = False

    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[Camera]:
        yield from opened(f"{write_video(tmp_path / 'clip.avi', 3)}?loop=1")


class TestLiveVideo(LiveCameraContract):
    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[Camera]:
        yield from opened(f"{write_video(tmp_path / 'clip.avi', 10, fps=200)}?live=1")

    @pytest.fixture
    def idle_camera(self, tmp_path: Path) -> Iterator[Camera]:
        clip = write_video(tmp_path / "slow.avi", 40, fps=1)
        yield from opened(f"{clip}?live=1&every=35", already_read=1)


class TestSynthetic(CameraContract):
    @pytest.fixture
    def camera(self) -> Iterator[Camera]:
        yield from opened("synthetic:?size=64x48&frames=10")


class TestLiveSynthetic(LiveCameraContract):
    ends = False

    @pytest.fixture
    def camera(self) -> Iterator[Camera]:
        yield from opened("synthetic:?size=64x48&live=1&fps=500")

    @pytest.fixture
    def idle_camera(self) -> Iterator[Camera]:
        yield from opened("synthetic:?size=64x48&live=1&fps=0.02", already_read=1)


class TestV4l2OnADouble(LiveCameraContract):
    ends = False

    @pytest.fixture
    def capture(self, monkeypatch: pytest.MonkeyPatch) -> FakeCapture:
        capture = FakeCapture()
        monkeypatch.setattr(v4l2, "opencv_capture", lambda _: capture)
        monkeypatch.setattr(v4l2, "check_device", lambda device: device)
        return capture

    @pytest.fixture
    def camera(self, capture: FakeCapture) -> Iterator[Camera]:
        yield from opened("v4l2:0")

    @pytest.fixture
    def idle_camera(self, capture: FakeCapture) -> Iterator[Camera]:
        capture.go.clear()
        for camera in opened("v4l2:0"):
            yield camera
            capture.go.set()


class TestPicameraOnADouble(LiveCameraContract):
    ends = False

    @pytest.fixture
    def library(self, monkeypatch: pytest.MonkeyPatch) -> Library:
        library = fake_library()
        monkeypatch.setattr(picamera, "load_library", lambda: library)
        return library

    @pytest.fixture
    def camera(self, library: Library) -> Iterator[Camera]:
        yield from opened("picamera:?size=64x48")

    @pytest.fixture
    def idle_camera(self, library: Library) -> Iterator[Camera]:
        for camera in opened("picamera:?size=64x48", already_read=1):
            library.picamera2.last.go.clear()
            time.sleep(0.05)
            while camera.read(0) is not None:
                pass
            yield camera
