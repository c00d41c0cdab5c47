"""RTSP against a real server: killed, started again, frozen, of another size."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from edgesam_rt.cameras import Camera, open_camera, parse_source
from edgesam_rt.errors import CameraMissing
from edgesam_rt.records import Frame
from tests.cameras_live.workplace import PATIENCE_S, RtspServer, is_scene, late_by_ms

Open = Callable[..., Camera]
QUICK = "#stall=1&retry=0.5&probe=0.1"


def read_until(camera: Camera, good: Callable[[Frame], bool]) -> Frame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        frame = camera.read(0.2)
        if frame is not None and good(frame):
            return frame
    raise AssertionError(f"no such frame: {camera.health}")


def read_until_state(camera: Camera, state: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while camera.health.state != state:
        assert time.monotonic() < deadline, camera.health
        camera.read(0.1)


def any_frame(_: Frame) -> bool:
    return True


def test_it_outlives_a_kill_another_size_and_a_freeze(
    server: RtspServer, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    camera = opened(server.url + QUICK)
    assert (camera.size_wh, camera.fps) == ((320, 240), 60.0)
    first = read_until(camera, any_frame)
    assert is_scene(first.pixels)

    server.kill()
    read_until_state(camera, "lost")
    server.start("160x128")
    second = read_until(camera, any_frame)
    assert second.image_hw == (128, 160)
    assert is_scene(second.pixels)

    server.freeze()
    read_until_state(camera, "lost")
    assert camera.health.breaks["stalled"] >= 1
    server.thaw()
    third = read_until(camera, any_frame)

    assert first.frame_id < second.frame_id < third.frame_id
    assert first.captured_at_ns < second.captured_at_ns < third.captured_at_ns
    health = camera.health
    assert health.state == "live"
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == health.reconnects >= 2, caplog.text


def test_a_frame_is_new_and_stamped_without_the_networks_jitter(
    server: RtspServer, opened: Open
) -> None:
    camera = opened(server.url + QUICK)
    read_until(camera, lambda frame: frame.frame_id > 10)
    late_ms = []
    for _ in range(20):
        frame = read_until(camera, any_frame)
        late_ms.append(late_by_ms(frame.captured_at_ns, frame.pixels))
    assert max(late_ms) < 250  # encoder, server and decoder; a kept-back queue would be more
    assert sorted(late_ms)[10] - min(late_ms) <= 10


def test_a_change_of_size_in_the_middle_of_a_stream_is_no_end(
    server: RtspServer, opened: Open
) -> None:
    camera = opened(server.url + "#probe=0.1")
    seen = read_until(camera, lambda frame: frame.frame_id > 5)
    server.resize("640x480")
    later = read_until(camera, lambda frame: frame.frame_id > seen.frame_id + 30)
    assert is_scene(later.pixels)
    assert camera.health.breaks == {}


def test_udp_is_an_option(server: RtspServer, opened: Open) -> None:
    camera = opened(server.url + "#transport=udp&probe=0.1&open=4&wait=1")  # packets may be lost
    assert is_scene(read_until(camera, any_frame).pixels)


class TestWhatKeepsItFromPlaying:
    def test_nothing_listens(self) -> None:
        with pytest.raises(CameraMissing, match=r"nothing listens on port \d+ of 127") as caught:
            open_camera(parse_source(f"rtsp://127.0.0.1:{free_port()}/cam"))
        assert caught.value.exit_code == 3

    def test_there_is_no_such_path(self, server: RtspServer) -> None:
        with pytest.raises(CameraMissing, match="the server has no such path"):
            open_camera(parse_source(server.url + "era"))

    def test_what_is_not_there_yet_can_be_waited_for(self, opened: Open) -> None:
        camera = opened(f"rtsp://127.0.0.1:{free_port()}/cam#wait=1")
        assert camera.read(0.3) is None
        assert camera.health.breaks["refused"] >= 1


class TestLogins:
    LOGIN = "viewer:hunter2"

    @pytest.fixture
    def server(self, server: RtspServer) -> RtspServer:
        server.kill()
        server.login = self.LOGIN
        server.start()
        return server

    def test_they_are_asked_for(self, server: RtspServer) -> None:
        with pytest.raises(CameraMissing, match="wants a login"):
            open_camera(parse_source(server.url))

    def test_a_wrong_one_is_in_no_message(
        self,
        server: RtspServer,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(CameraMissing) as caught:
            open_camera(parse_source(server.url.replace("//", "//viewer:hunter3@")))
        told = f"{caught.value!r} {caught.value} {caplog.text} {capfd.readouterr()}"
        assert "refuses this one" in told
        assert "hunter3" not in told

    def test_the_address_a_variable_or_a_file_may_hold_it(
        self, server: RtspServer, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gate").write_text(self.LOGIN + "\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        monkeypatch.setenv("GATE_LOGIN", self.LOGIN)
        for source in (
            server.url.replace("//", f"//{self.LOGIN}@") + QUICK,
            server.url + "#login_env=GATE_LOGIN&probe=0.1",
            server.url + "#login_file=gate&probe=0.1",
        ):
            camera = opened(source)
            assert is_scene(read_until(camera, any_frame).pixels)
            assert "hunter2" not in f"{camera.name} {camera.health}"
            camera.close()
