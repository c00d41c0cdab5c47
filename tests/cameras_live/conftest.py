"""Servers and libraries that the live tests share; what is missing skips them, with the reason.

They wait for real servers in real time, and fail on a machine that is busy: so they are slow ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgesam_rt.cameras import Camera, open_camera, parse_source
from tests.cameras_live.workplace import PACKAGES, RtspServer, system_gi, why_no_server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave them to `make test-full`."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def opened() -> Iterator[Callable[..., Camera]]:
    """Opens sources, and closes their cameras in the end."""
    cameras: list[Camera] = []

    def start(source: str) -> Camera:
        cameras.append(open_camera(parse_source(source)))
        return cameras[-1]

    yield start
    for camera in cameras:
        camera.close()


@pytest.fixture
def server() -> Iterator[RtspServer]:
    """An RTSP camera of 320x240, of the test's own: it may be killed."""
    yield from _serving()


@pytest.fixture(scope="module")
def steady_server() -> Iterator[RtspServer]:
    """One that the tests of a file share: they leave it as it was."""
    yield from _serving()


def _serving() -> Iterator[RtspServer]:
    reason = why_no_server()
    if reason:
        pytest.skip(reason)
    server = RtspServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def gstreamer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """GStreamer in this process."""
    with system_gi(tmp_path_factory.mktemp("gi")) as fits:
        if not fits:
            pytest.skip(f"no PyGObject for this Python. Run: apt-get install {PACKAGES}")
        from edgesam_rt.cameras.gst_feed import load_gst

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ImportWarning)  # PyGObject's importer is of old
                gst = load_gst()
        except (ImportError, ValueError) as error:
            pytest.skip(f"{error}. Run: apt-get install {PACKAGES}")
        if gst.ElementFactory.find("videotestsrc") is None:
            pytest.skip(f"GStreamer has no elements. Run: apt-get install {PACKAGES}")
        yield
