"""From what a user typed to a source, or to a message that names the nearest right thing."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgesam_rt.cameras import SourceSpec, open_camera, parse_source
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.errors import CameraMissing, ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in: clip.mp4, street.JPG and the folder photos with one picture."""
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "street.JPG").write_bytes(b"x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(text: str) -> tuple[str, str, dict[str, str]]:
    spec = parse_source(text)
    assert spec.text == text
    return spec.scheme, spec.target, dict(spec.options)


@pytest.mark.usefixtures("here")
class TestGood:
    @pytest.mark.parametrize(
        ("text", "scheme", "target"),
        [
            ("clip.mp4", "file", "clip.mp4"),
            ("file:clip.mp4", "file", "clip.mp4"),
            ("street.JPG", "images", "street.JPG"),
            ("file:street.JPG", "images", "street.JPG"),
            ("images:street.JPG", "images", "street.JPG"),
            ("photos", "images", "photos"),
            ("photos/", "images", "photos"),
            ("images:photos", "images", "photos"),
            ("photos/*.png", "images", "photos/*.png"),
            ("images:photos/?.png", "images", "photos/?.png"),
            ("synthetic:", "synthetic", ""),
            ("v4l2:", "v4l2", ""),
            ("v4l2:0", "v4l2", "0"),
            (
                "v4l2:/dev/v4l/by-id/usb-046d:0825-index0",
                "v4l2",
                "/dev/v4l/by-id/usb-046d:0825-index0",
            ),
            ("/dev/video7", "v4l2", "/dev/video7"),
            ("picamera:", "picamera", ""),
            ("csi:1", "csi", "1"),
            ("rtsp://10.0.0.7:8554/cam", "rtsp", "rtsp://10.0.0.7:8554/cam"),
            ("rtsp://[::1]/cam?channel=1&a=b", "rtsp", "rtsp://[::1]/cam?channel=1&a=b"),
            ("gst:videotestsrc ! identity", "gst", "videotestsrc ! identity"),
        ],
    )
    def test_a_source_is_known_by_its_scheme_or_by_what_lies_there(
        self, text: str, scheme: str, target: str
    ) -> None:
        assert parts(text) == (scheme, target, {})

    def test_options_follow_a_question_mark(self) -> None:
        text = "synthetic:?size=320x240&fps=15"
        assert parts(text) == ("synthetic", "", {"size": "320x240", "fps": "15"})

    def test_options_follow_a_pattern_with_question_marks(self) -> None:
        assert parts("photos/?.png?on_error=stop")[1:] == ("photos/?.png", {"on_error": "stop"})

    def test_options_of_an_address_follow_a_hash(self) -> None:
        target, options = parts("rtsp://host/cam?channel=1#transport=udp&stall=2")[1:]
        assert (target, options) == (
            "rtsp://host/cam?channel=1",
            {"transport": "udp", "stall": "2"},
        )

    def test_options_of_a_pipeline_follow_a_hash(self) -> None:
        text = "gst:souphttpsrc location=http://h/a?b=c ! decodebin#stall=9"
        target = "souphttpsrc location=http://h/a?b=c ! decodebin"
        assert parts(text)[1:] == (target, {"stall": "9"})

    def test_values_are_decoded_and_paths_are_not(self, here: Path) -> None:
        (here / "a%20b.mp4").write_bytes(b"x")
        assert parts("a%20b.mp4?live=%31") == ("file", "a%20b.mp4", {"live": "1"})

    @pytest.mark.parametrize("name", ["take:2.mp4", "why?.mp4", "a?live=1", "12:30?b=c.mp4"])
    def test_colons_and_question_marks_may_be_part_of_a_path(self, here: Path, name: str) -> None:
        (here / name).write_bytes(b"x")
        assert parts(name) == ("file", name, {})
        assert parts(f"file:{name}") == ("file", name, {})
        assert parts(f"{name}?loop=1") == ("file", name, {"loop": "1"})

    def test_the_home_folder_is_understood(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(here))
        assert parts("file:~/clip.mp4")[1] == str(here / "clip.mp4")


@pytest.mark.usefixtures("here")
class TestBad:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "no source given"),
            ("  ", "no source given"),
            ("clpi.mp4", r"clpi.mp4: no such file or folder. Did you mean clip.mp4\?"),
            ("file:clip.mp", r"Did you mean clip.mp4\?"),
            ("images:photo", r"Did you mean photos\?"),
            ("nowhere/a.png", "no folder nowhere"),
            ("file:", "needs a path"),
            ("images:", "needs a picture, a folder or a pattern"),
            ("synthetic", r"Did you mean 'synthetic:'\?"),
            (
                "synthtic:",
                r"unknown source 'synthtic'. Did you mean 'synthetic'\? Known: csi, file",
            ),
            ("http://host/a.mp4", "unknown source 'http'"),
            ("rtps://me:pw@host/a", r"unknown source 'rtps'. Did you mean 'rtsp'\?.*//\*\*\*@host"),
            ("rtsp:host/cam", "expected rtsp://HOST:PORT/PATH"),
            ("rtsp://", "expected rtsp://HOST:PORT/PATH"),
            ("rtsp://host:99999/cam", "expected rtsp://HOST:PORT/PATH"),
            ("rtsp://host/a b", "expected rtsp://HOST:PORT/PATH"),
            ("rtsp://host/cam#trans=udp", "unknown option 'trans'. Did you mean 'transport'"),
            ("rtsp://host/cam#transport=sctp", "option transport: expected tcp or udp"),
            ("rtsp://host/cam#1", "after the # come options"),
            ("gst:", "needs a pipeline"),
            ("picamera:?controls=AfMode", "option controls: expected NAME:NUMBER"),
            ("picamera:?controls=A:1.2.3", "option controls: expected NAME:NUMBER"),
            ("rtsp://host/cam#login_file=", "option login_file: expected a name"),
            ("synthetic:abc", "nothing follows synthetic: but options"),
            ("clip.mp4?lop=1", r"unknown option 'lop'. Did you mean 'loop'\?"),
            ("photos?size=1x1", "unknown option 'size'. images: knows on_error"),
            ("clip.mp4?loop=maybe", "option loop: expected 1 or 0, got 'maybe'"),
            ("clip.mp4?every=0", "option every: expected a whole number from 1, got '0'"),
            ("clip.mp4?start=-1", "option start: expected a number from 0"),
            ("clip.mp4?start=nan", "option start: expected a number"),
            ("photos?on_error=x", "option on_error: expected skip or stop, got 'x'"),
            ("synthetic:?size=640", "option size: expected WIDTHxHEIGHT"),
            ("synthetic:?size=1x1", "option size: expected WIDTHxHEIGHT, 16 to"),
            ("synthetic:?fps=0", "option fps: expected a number"),
            ("synthetic:?fps=9&fps=9", "'fps' is given twice"),
        ],
    )
    def test_a_mistake_is_named_with_what_would_be_right(self, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            parse_source(text)

    @settings(max_examples=150, deadline=None)
    @given(
        st.text(max_size=30) | st.from_regex(r"[a-z0-9]{0,9}:?[a-z/.?*]{0,5}(\?[a-z]+=[a-z0-9%]*)?")
    )
    @example("a\0b")
    @example("x" * 5000)
    @example("*" * 300)
    def test_any_text_gives_a_source_or_a_config_error(self, text: str) -> None:
        with contextlib.suppress(ConfigError):
            assert parse_source(text).scheme in SOURCES


class TestTable:
    def test_rows_and_options_are_sorted(self) -> None:
        assert list(SOURCES) == sorted(SOURCES)
        assert all(list(row.options) == sorted(row.options) for row in SOURCES.values())

    def test_help_begins_with_the_scheme(self) -> None:
        assert all(row.help.startswith(f"{scheme}:") for scheme, row in SOURCES.items())

    def test_defaults_are_what_their_own_text_gives(self) -> None:
        for row in SOURCES.values():
            for option in row.options.values():
                if option.default is not None and not isinstance(option.default, tuple):
                    text = str(option.default)
                    if isinstance(option.default, bool):
                        text = "1" if option.default else "0"
                    assert option.parse(text) == option.default


class TestOpening:
    def test_an_unknown_scheme_is_a_config_error(self) -> None:
        with pytest.raises(ConfigError, match="unknown source 'nope'"):
            open_camera(SourceSpec("nope", ""))

    def test_a_missing_library_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "edgesam_rt.cameras.video", None)
        with pytest.raises(CameraMissing, match="pip install opencv-python-headless"):
            open_camera(SourceSpec("file", "a.mp4"))

    def test_a_spec_made_by_hand_is_checked_too(self) -> None:
        spec = SourceSpec("synthetic", "", {"size": "big"})
        with pytest.raises(ConfigError, match="source 'synthetic:': option size"):
            open_camera(spec)

    def test_defaults_fill_what_is_not_given(self) -> None:
        values = read_options(
            SourceSpec("synthetic", "", {"fps": "5"}), SOURCES["synthetic"].options
        )
        assert values == {
            "fps": 5.0,
            "frames": None,
            "live": False,
            "seed": 0,
            "silent_after": None,
            "size": (640, 480),
        }
