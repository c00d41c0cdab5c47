"""Videos as a source: what is given, what is missing, and playing at their own pace."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import pytest

from edgesam_rt.cameras import Camera, open_camera, parse_source
from edgesam_rt.errors import CameraError, ConfigError, EndOfStream
from tests.camera_doubles import ManualClock, cut, grey_of, write_video


def opened(source: object, clock: ManualClock | None = None) -> Camera:
    spec = parse_source(str(source))
    return open_camera(spec, clock) if clock else open_camera(spec)


def greys(camera: Camera, most: int = 100) -> list[int]:
    """Which frames of `write_video` come."""
    found = []
    for _ in range(most):
        try:
            frame = camera.read(0)
        except EndOfStream:
            break
        assert frame is not None
        found.append(grey_of(frame.pixels))
    return found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.avi", 20)


class TestWhole:
    def test_all_frames_come_in_order_as_rgb(self, clip: Path) -> None:
        camera = opened(clip)
        first = camera.read(0)
        assert first is not None
        assert first.pixels[10, 10, 0] > 200  # the left half is red
        assert first.pixels[10, 10, 2] < 60
        assert greys(camera) == list(range(1, 20))
        assert camera.losses == {}

    def test_it_tells_size_rate_and_length(self, clip: Path) -> None:
        camera = opened(clip)
        assert (camera.size_wh, camera.fps, camera.length, camera.live) == ((64, 48), 25, 20, False)

    def test_frames_are_named_by_number(self, clip: Path) -> None:
        camera = opened(clip)
        frames = [camera.read(0) for _ in range(2)]
        assert [f and f.name for f in frames] == ["frame-000000", "frame-000001"]

    def test_a_path_that_looks_like_a_protocol_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_video(tmp_path / "clip.avi", 3).rename(tmp_path / "take:2 é.avi")
        monkeypatch.chdir(tmp_path)
        assert greys(opened("take:2 é.avi")) == [0, 1, 2]

    def test_a_video_marked_as_turned_comes_upright(self, tmp_path: Path) -> None:
        clip = write_video(tmp_path / "clip.mp4", 3, cc="mp4v")
        data = bytearray(clip.read_bytes())
        matrix = data.index(b"tkhd") + 4 + 40
        quarter = (0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
        data[matrix : matrix + 36] = struct.pack(">9i", *quarter)
        clip.write_bytes(data)
        camera = opened(clip)
        frame = camera.read(0)
        assert frame is not None
        assert frame.image_hw == (64, 48)
        assert camera.size_wh == (48, 64)
        assert frame.pixels[5, 20, 0] > 200  # the red half is on top now


class TestOptions:
    def test_every_gives_each_nth(self, clip: Path) -> None:
        camera = opened(f"{clip}?every=6")
        assert camera.length == 4
        assert camera.fps == pytest.approx(25 / 6)
        assert greys(camera) == [0, 6, 12, 18]
        assert camera.losses == {}

    def test_start_begins_later(self, clip: Path) -> None:
        camera = opened(f"{clip}?start=0.4")
        assert camera.length == 10
        assert greys(camera) == list(range(10, 20))

    def test_start_after_the_end_is_a_config_error(self, clip: Path) -> None:
        with pytest.raises(ConfigError, match=r"start=5 lies after the end.*20 frames, 0\.8 s"):
            opened(f"{clip}?start=5")

    def test_loop_begins_again_where_it_started(self, clip: Path) -> None:
        camera = opened(f"{clip}?loop=1&start=0.68")
        assert camera.length is None
        assert greys(camera, 8) == [17, 18, 19, 17, 18, 19, 17, 18]

    def test_ids_go_on_rising_in_a_loop(self, clip: Path) -> None:
        camera = opened(f"{clip}?loop=1&every=10")
        frames = [camera.read(0) for _ in range(5)]
        assert [f and f.frame_id for f in frames] == [0, 1, 2, 3, 4]


class TestBroken:
    def test_a_video_that_ends_early_warns_and_counts(
        self, clip: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        camera = opened(cut(clip, keep=0.5))
        assert camera.length == 20
        with caplog.at_level(logging.WARNING):
            given = greys(camera)
        assert 5 <= len(given) <= 15
        assert camera.losses == {"missing": 20 - len(given)}
        assert caplog.messages == [f"{camera.name}: ended after {len(given)} of 20 frames"]

    def test_a_recording_without_its_index_is_an_error(self, tmp_path: Path) -> None:
        clip = write_video(tmp_path / "clip.mp4", 20, cc="mp4v")
        clip.write_bytes(clip.read_bytes()[:-300])
        with pytest.raises(CameraError, match="cannot be opened as a video") as caught:
            opened(clip)
        assert caught.value.exit_code == 1

    def test_a_file_that_is_no_video_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("no video")
        with pytest.raises(CameraError, match=r"notes\.txt: cannot be opened as a video"):
            opened(path)

    def test_an_empty_file_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        path.touch()
        with pytest.raises(CameraError, match="0 bytes"):
            opened(path)

    @pytest.mark.parametrize("loop", [0, 1])
    def test_a_video_without_a_frame_is_an_error(self, tmp_path: Path, loop: int) -> None:
        clip = write_video(tmp_path / "clip.mp4", 20, cc="mp4v")
        data = bytearray(clip.read_bytes())
        pictures, index = data.index(b"mdat") + 4, data.index(b"moov") - 4
        data[pictures:index] = bytes(index - pictures)
        clip.write_bytes(data)
        camera = opened(f"{clip}?loop={loop}")
        for _ in range(2):
            with pytest.raises(CameraError, match="no frame could be decoded"):
                camera.read(0)


class TestLive:
    def test_nothing_comes_before_its_time(self, clip: Path) -> None:
        clock = ManualClock()
        camera = opened(f"{clip}?live=1", clock)
        assert camera.live
        first = camera.read(0)
        assert first is not None
        assert first.frame_id == 0
        assert camera.read(0) is None
        clock.advance(0.041)
        second = camera.read(0)
        assert second is not None
        assert (second.frame_id, grey_of(second.pixels)) == (1, 1)
        assert camera.losses == {}

    def test_the_newest_due_frame_comes_and_those_passed_over_are_late(self, clip: Path) -> None:
        clock = ManualClock()
        camera = opened(f"{clip}?live=1", clock)
        camera.read(0)
        clock.advance(0.21)
        frame = camera.read(0)
        assert frame is not None
        assert (frame.frame_id, grey_of(frame.pixels), frame.name) == (5, 5, "frame-000005")
        assert frame.captured_at_ns == clock.now_ns()
        assert camera.losses == {"late": 4}

    def test_the_last_frame_is_given_however_late(self, clip: Path) -> None:
        clock = ManualClock()
        camera = opened(f"{clip}?live=1", clock)
        camera.read(0)
        clock.advance(100)
        frame = camera.read(0)
        assert frame is not None
        assert (frame.frame_id, grey_of(frame.pixels)) == (19, 19)
        assert camera.losses == {"late": 18}
        with pytest.raises(EndOfStream):
            camera.read(0)

    def test_a_loop_goes_on_at_its_pace(self, clip: Path) -> None:
        clock = ManualClock()
        camera = opened(f"{clip}?live=1&loop=1", clock)
        camera.read(0)
        clock.advance(0.04 * 25 + 0.001)
        frame = camera.read(0)
        assert frame is not None
        assert (frame.frame_id, grey_of(frame.pixels)) == (25, 5)
        assert camera.losses == {"late": 24}

    def test_a_live_video_that_ends_early_accounts_for_every_frame(self, clip: Path) -> None:
        clock = ManualClock()
        camera = opened(f"{cut(clip, keep=0.5)}?live=1", clock)
        camera.read(0)
        clock.advance(100)
        with pytest.raises(EndOfStream):
            camera.read(0)
        assert 1 + sum(camera.losses.values()) == 20
