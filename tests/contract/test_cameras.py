"""Every camera keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesam_rt.cameras import Camera, open_camera, parse_source
from edgesam_rt.cameras.images import ImagesCamera
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.cameras.v4l2 import V4l2Camera
from edgesam_rt.cameras.video import VideoCamera
from tests.camera_doubles import FakeCapture, cut, write_video
from tests.contract.camera_contract import CameraContract, LiveCameraContract, frames_of

CAMERAS: tuple[type[Camera], ...] = (ImagesCamera, SyntheticCamera, V4l2Camera, VideoCamera)


def test_every_row_of_the_table_is_under_contract() -> None:
    assert {row.module for row in SOURCES.values()} == {camera.__module__ for camera in CAMERAS}


def opened(source: str, *, already_read: int = 0) -> Iterator[Camera]:
    """Open a source as the command line does, and close it after the test."""
    camera = open_camera(parse_source(source))
    list(frames_of(camera, already_read))
    yield camera
    camera.close()


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
    def capture(self) -> FakeCapture:
        return FakeCapture()

    @pytest.fixture
    def camera(self, capture: FakeCapture) -> Iterator[Camera]:
        camera = V4l2Camera("/dev/video0", open_capture=lambda _: capture)
        yield camera
        camera.close()

    @pytest.fixture
    def idle_camera(self, capture: FakeCapture) -> Iterator[Camera]:
        capture.go.clear()
        camera = V4l2Camera("/dev/video0", open_capture=lambda _: capture)
        yield camera
        capture.go.set()
        camera.close()
