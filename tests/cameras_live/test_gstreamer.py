"""`gst:` and `csi:` on a real GStreamer, in this process."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam_rt.cameras import Camera, open_camera, parse_source
from edgesam_rt.cameras import csi as csi_file
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import CameraMissing, ConfigError
from edgesam_rt.records import Frame
from tests.cameras_live.workplace import PATIENCE_S, RtspServer, is_scene, late_by_ms

pytestmark = pytest.mark.usefixtures("gstreamer")

Open = Callable[..., Camera]
RED = "gst:videotestsrc is-live=true pattern=red ! video/x-raw,width=322,height=42,framerate=100/1"


def read(camera: Camera) -> Frame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        frame = camera.read(0.2)
        if frame is not None:
            return frame
    raise AssertionError(f"no frame: {camera.health}")


def age_ms(frame: Frame) -> float:
    return (CLOCK.now_ns() - frame.captured_at_ns) / 1e6


def test_rows_are_cut_from_their_padding_and_colours_are_right(opened: Open) -> None:
    camera = opened(RED)
    frame = read(camera)
    assert frame.image_hw == (42, 322)
    assert (frame.pixels == (255, 0, 0)).all()
    assert (camera.size_wh, camera.fps) == ((322, 42), 100.0)


def test_frames_are_stamped_by_the_pipelines_clock(opened: Open) -> None:
    camera = opened(RED)
    ages_ms = [age_ms(read(camera)) for _ in range(30)]
    assert 0 < sorted(ages_ms)[15] < 30
    stamps = [read(camera).captured_at_ns for _ in range(30)]
    steps_ms = [(b - a) / 1e6 for a, b in itertools.pairwise(stamps)]
    assert all(abs(step / 10 - round(step / 10)) < 0.02 for step in steps_ms)  # whole periods


def test_a_pipeline_that_ends_is_begun_again(opened: Open) -> None:
    camera = opened("gst:videotestsrc is-live=true num-buffers=3#retry=0.1")
    frames = [read(camera) for _ in range(7)]
    assert frames[-1].frame_id >= 6
    assert camera.health.reconnects >= 1
    assert "the pipeline ended" in camera.health.last_error


def test_a_connection_that_is_left_behind_leaves_no_descriptor_open(opened: Open) -> None:
    """A pipeline that waits for the garbage collector keeps four of them."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    camera = opened("gst:videotestsrc is-live=true num-buffers=1#retry=0.01")
    gc.disable()
    try:
        counts = []
        while camera.health.reconnects < 10:
            read(camera)
            counts.append(descriptors())
    finally:
        gc.enable()
    assert max(counts[-3:]) <= max(counts[:3]) + 8  # one may not be closed yet


def test_a_slow_reader_gets_the_newest(opened: Open) -> None:
    camera = opened(RED)
    read(camera)
    time.sleep(0.3)
    frame = read(camera)
    assert age_ms(frame) < 100
    assert camera.losses["late"] >= 15


def test_a_server_that_is_killed_and_comes_back_with_another_size(
    server: RtspServer, opened: Open
) -> None:
    pipeline = f"gst:rtspsrc location={server.url} protocols=tcp latency=0 ! decodebin"
    camera = opened(f"{pipeline}#retry=0.3")
    first = read(camera)
    assert is_scene(first.pixels)
    assert late_by_ms(first.captured_at_ns, first.pixels) < 500
    server.kill()
    deadline = time.monotonic() + PATIENCE_S
    while camera.health.state == "live" and time.monotonic() < deadline:
        camera.read(0.1)
    server.start("160x128")
    second = read(camera)
    assert second.image_hw == (128, 160)
    assert is_scene(second.pixels)
    assert camera.health.reconnects == 1


def test_a_change_of_size_in_the_middle_of_a_stream_is_seen(
    server: RtspServer, opened: Open
) -> None:
    pipeline = f"gst:rtspsrc location={server.url} protocols=tcp latency=0 ! decodebin"
    camera = opened(pipeline)
    read(camera)
    server.resize("160x128")
    deadline = time.monotonic() + PATIENCE_S
    while camera.size_wh != (160, 128):
        assert time.monotonic() < deadline
        read(camera)
    assert camera.health.breaks == {}


class TestWhatKeepsItFromPlaying:
    @pytest.mark.parametrize(
        ("pipeline", "said"),
        [
            ("nosuchsource", 'no element "nosuchsource".*gst-inspect-1.0 nosuchsource'),
            ("videotestsrc ! video/x-h264", "could not link"),
            ("rtspsrc location=rtsp://me:hunter2@127.0.0.1:1/x ! decodebin", "could not open|not"),
            ("nvarguscamerasrc", "no element"),
        ],
    )
    def test_it_is_said_without_secrets(self, pipeline: str, said: str) -> None:
        with pytest.raises(CameraMissing, match=f"(?i){said}") as caught:
            open_camera(parse_source(f"gst:{pipeline}#open=3"))
        assert "hunter2" not in str(caught.value)

    def test_an_own_sink_is_one_too_many(self) -> None:
        with pytest.raises(ConfigError, match="leave the appsink away"):
            open_camera(parse_source("gst:videotestsrc ! appsink"))


class TestCsi:
    """NVIDIA's elements are on Jetsons alone; the pipeline around them runs with others' names."""

    STAND_INS = (
        ("nvarguscamerasrc sensor-id=1", "videotestsrc is-live=true"),
        ("(memory:NVMM)", ""),
        ("nvvidconv flip-method=2", "videoconvert ! videoscale"),
    )

    def test_its_pipeline_scales_and_drops(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = csi_file.pipeline_text

        def with_stand_ins(*asked: object) -> str:
            text = real(*asked)  # type: ignore[arg-type]
            for name, stand_in in self.STAND_INS:
                assert name in text
                text = text.replace(name, stand_in)
            return text

        monkeypatch.setattr(csi_file, "pipeline_text", with_stand_ins)
        camera = opened("csi:1?mode=640x480&size=320x240&rotation=180&fps=30")
        assert read(camera).image_hw == (240, 320)
        assert camera.fps == 30.0

    def test_without_nvidias_elements_it_is_missing(self) -> None:
        with pytest.raises(CameraMissing, match="nvarguscamerasrc") as caught:
            open_camera(parse_source("csi:"))
        assert caught.value.exit_code == 3
