"""Raspberry Pi cameras, on a double of picamera2 whose signatures are the real ones'."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgesam_rt.cameras import parse_source
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.picamera import Library, PicameraFeed, open_source
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import CameraMissing, ConfigError
from tests.doubles.picamera2_surface import SURFACE, record
from tests.feed_doubles import FakePicamera, FakeRequest, fake_library

Open = Callable[..., PicameraFeed]


@pytest.fixture
def library() -> Library:
    return fake_library()


@pytest.fixture
def opened(library: Library) -> Iterator[Open]:
    feeds: list[PicameraFeed] = []

    def start(source: str = "picamera:?size=96x64") -> PicameraFeed:
        spec = parse_source(source)
        values = read_options(spec, SOURCES["picamera"].options)
        feeds.append(PicameraFeed(library, int(spec.target or 0), values, CLOCK, name=source))
        return feeds[-1]

    yield start
    for feed in feeds:
        feed.close()


def configuration(library: Library) -> dict[str, Any]:
    given: dict[str, Any] = library.picamera2.last.camera_configuration()
    return given


def test_a_picture_is_rgb_and_its_buffer_goes_back_at_once(opened: Open, library: Library) -> None:
    picture = opened().take()
    assert picture is not None
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.pixels[0, 0].tolist() == [200, 1, 10]
    assert library.picamera2.last.held == 0


def test_it_is_stamped_by_the_sensor(opened: Open) -> None:
    feed = opened()
    before_ns = CLOCK.now_ns()
    picture = feed.take()
    assert picture is not None
    assert before_ns < picture.captured_at_ns <= CLOCK.now_ns() - picture.capture_ms * 1e6


def test_a_request_is_released_when_its_copy_fails(
    opened: Open, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FakeRequest, name: str) -> None:
        raise RuntimeError("no memory")

    feed = opened()
    monkeypatch.setattr(FakeRequest, "make_array", fail)
    with pytest.raises(RuntimeError):
        feed.take()
    assert library.picamera2.last.held == 0


def test_the_second_output_is_turned_to_rgb_without_its_padding(opened: Open) -> None:
    feed = opened("picamera:?size=320x240&lores=96x64")
    picture = feed.take()
    assert picture is not None
    assert feed.size_wh == (96, 64)
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.pixels.flags.c_contiguous
    assert abs(picture.pixels[10, 10].astype(int) - (200, 1, 10)).max() < 12


def test_the_configuration_is_what_was_asked_for(opened: Open, library: Library) -> None:
    opened("picamera:?size=640x480&lores=320x240&fps=25&controls=AfMode:2,AnalogueGain:4.0")
    given = configuration(library)
    assert given["main"] == {"size": (640, 480), "format": "BGR888"}
    assert given["lores"] == {"size": (320, 240), "format": "YUV420"}
    assert given["queue"] is False
    assert given["controls"] == {
        "AfMode": 2,
        "AnalogueGain": 4.0,
        "FrameDurationLimits": (40000, 40000),
    }


@pytest.mark.parametrize(
    ("options", "turned"),
    [
        ("", (False, False)),
        ("?rotation=180", (True, True)),
        ("?hflip=1", (True, False)),
        ("?rotation=180&hflip=1", (False, True)),
    ],
)
def test_turning_is_left_to_the_hardware(
    opened: Open, library: Library, options: str, turned: tuple[bool, bool]
) -> None:
    opened(f"picamera:{options}")
    transform = configuration(library)["transform"]
    assert (transform["hflip"], transform["vflip"]) == turned


def test_a_silent_camera_holds_nobody_and_is_asked_once(
    opened: Open, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesam_rt.cameras.picamera._WAIT_S", 0.01)
    feed = opened()
    asked: list[object] = []
    real = library.picamera2.last.capture_request
    monkeypatch.setattr(
        library.picamera2.last,
        "capture_request",
        lambda **given: asked.append(given) or real(**given),
    )
    library.picamera2.last.go.clear()
    assert feed.take() is None
    assert feed.take() is None
    assert len(asked) == 1
    feed.close()
    assert library.picamera2.last.flushed == 1


def test_a_camera_that_is_not_there_lists_those_that_are(opened: Open) -> None:
    with pytest.raises(CameraMissing, match="Cameras here: 0: imx708"):
        opened("picamera:3")


def test_a_configuration_that_is_refused_gives_the_camera_back(
    opened: Open, library: Library
) -> None:
    def refuse(self: FakePicamera, config: object) -> None:
        raise RuntimeError("lores stream dimensions may not exceed main stream")

    library.picamera2.configure = refuse
    with pytest.raises(CameraMissing, match="may not exceed"):
        opened()
    assert library.picamera2.last.closed == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("picamera:front", "expected a camera's number"),
        ("picamera:?size=320x240&lores=640x480", "lores is larger than size"),
    ],
)
def test_what_cannot_be_is_said_before_anything_opens(source: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_source(parse_source(source))


class TestTheDouble:
    @pytest.mark.parametrize("name", ["Picamera2", "CompletedRequest"])
    def test_it_has_the_real_signatures(self, name: str) -> None:
        double = {"Picamera2": FakePicamera, "CompletedRequest": FakeRequest}[name]
        for method, expected in json.loads(SURFACE.read_text())[name].items():
            parameters = list(inspect.signature(getattr(double, method)).parameters.values())
            got = [
                p.name + "=" * (p.default is not p.empty) for p in parameters if p.name != "self"
            ]
            assert got == expected, method

    @pytest.mark.slow
    def test_the_record_is_that_of_the_wheel(self) -> None:
        assert record() == json.loads(SURFACE.read_text())
