"""What every camera promises. Inherit, give the fixtures, and prove it.

`CameraContract` is for all; `LiveCameraContract` adds what a camera that waits must do.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edgesam_rt.cameras import Camera, open_camera, parse_source
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import EndOfStream
from edgesam_rt.records import Frame, check_image

PATIENCE_S = 5.0


def frames_of(camera: Camera, most: int = 10) -> Iterator[Frame]:
    """Read up to `most` frames, or to the end."""
    for _ in range(most):
        try:
            frame = camera.read(PATIENCE_S)
        except EndOfStream:
            return
        assert frame is not None, "no frame within the test's patience"
        yield frame


def opened(source: str, *, already_read: int = 0) -> Iterator[Camera]:
    """Open a source as the command line does, and close it after the test."""
    camera = open_camera(parse_source(source))
    list(frames_of(camera, already_read))
    yield camera
    camera.close()


class CameraContract:
    """A subclass gives `camera`: open, with two frames or more, at most 10 if it ends."""

    ends = True  # whether its frames run out

    @pytest.fixture
    def camera(self) -> Iterator[Camera]:
        raise NotImplementedError

    def test_ids_start_at_0_and_rise(self, camera: Camera) -> None:
        ids = [frame.frame_id for frame in frames_of(camera)]
        assert ids[0] == 0
        assert all(a < b for a, b in itertools.pairwise(ids))

    def test_frames_are_rgb_bytes_that_own_their_memory(self, camera: Camera) -> None:
        first, second = frames_of(camera, 2)
        for frame in (first, second):
            check_image(frame.pixels)
            assert frame.pixels.flags.owndata
            assert frame.pixels.flags.writeable
            assert frame.pixels.flags.c_contiguous
        before = second.pixels.copy()
        first.pixels[...] = 77
        assert np.array_equal(second.pixels, before)

    def test_names_are_unique_file_stems(self, camera: Camera) -> None:
        names = [frame.name for frame in frames_of(camera)]
        assert len(set(names)) == len(names)
        assert all(name and "/" not in name for name in names)

    def test_captured_at_rises_and_lies_between_the_calls(self, camera: Camera) -> None:
        times = [frame.captured_at_ns for frame in frames_of(camera)]
        assert all(a < b for a, b in itertools.pairwise(times))
        assert times[-1] <= CLOCK.now_ns()

    def test_capture_takes_a_sane_time(self, camera: Camera) -> None:
        assert all(0 <= frame.capture_ms < 1000 for frame in frames_of(camera))

    def test_size_is_that_of_the_frames_where_it_is_known(self, camera: Camera) -> None:
        for frame in frames_of(camera):
            assert camera.size_wh in (None, frame.image_hw[::-1])

    def test_read_after_the_end_raises_end_of_stream_again(self, camera: Camera) -> None:
        if not self.ends:
            camera.close()
        list(frames_of(camera, 20))
        for _ in range(2):
            with pytest.raises(EndOfStream):
                camera.read(0)

    def test_length_agrees_with_what_is_given_and_lost(self, camera: Camera) -> None:
        assert camera.length is None or self.ends
        if camera.length is not None:
            given = sum(1 for _ in frames_of(camera, 20))
            assert given + sum(camera.losses.values()) == camera.length

    def test_close_twice_is_quiet_and_ends_the_stream(self, camera: Camera) -> None:
        next(frames_of(camera))
        camera.close()
        camera.close()
        with pytest.raises(EndOfStream):
            camera.read(PATIENCE_S)

    def test_close_before_the_first_read_is_quiet(self, camera: Camera) -> None:
        camera.close()
        with pytest.raises(EndOfStream):
            camera.read(0)

    def test_it_tells_its_name(self, camera: Camera) -> None:
        assert camera.name

    def test_it_tells_how_it_is(self, camera: Camera) -> None:
        next(frames_of(camera))
        assert camera.health.state == "live"
        assert camera.health.breaks == {}
        camera.close()
        assert camera.health.state == "closed"

    def test_close_from_another_thread_ends_a_reading_loop(self, camera: Camera) -> None:
        reading = threading.Event()

        def read_to_the_end() -> None:
            reading.set()
            list(frames_of(camera, 10**9))

        reader = threading.Thread(target=read_to_the_end, daemon=True)
        reader.start()
        reading.wait(PATIENCE_S)
        camera.close()
        reader.join(PATIENCE_S)
        assert not reader.is_alive()


class LiveCameraContract(CameraContract):
    """A subclass also gives `idle_camera`: open, and silent for the next 30 s."""

    @pytest.fixture
    def idle_camera(self) -> Iterator[Camera]:
        raise NotImplementedError

    def test_it_says_that_it_is_live(self, camera: Camera) -> None:
        assert camera.live

    def test_read_returns_none_when_nothing_came_in_time(self, idle_camera: Camera) -> None:
        start = time.monotonic()
        assert idle_camera.read(0.05) is None
        assert time.monotonic() - start < PATIENCE_S

    def test_close_from_another_thread_wakes_read(self, idle_camera: Camera) -> None:
        outcome: list[object] = []

        def read() -> None:
            try:
                outcome.append(idle_camera.read(60))
            except EndOfStream as error:
                outcome.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.05)
        assert reader.is_alive()
        idle_camera.close()
        reader.join(PATIENCE_S)
        assert isinstance(outcome[0], EndOfStream)
