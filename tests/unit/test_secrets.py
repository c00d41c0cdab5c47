"""Logins stay out of everything that is said."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesam_rt.cameras import SourceSpec, parse_source
from edgesam_rt.errors import ConfigError
from edgesam_rt.secrets import read_login, redact, with_login


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("rtsp://me:pw@host/cam", "rtsp://***@host/cam"),
        ("rtsp://me@host/cam", "rtsp://***@host/cam"),
        ("rtsp://host/cam?token=abc&x=1", "rtsp://host/cam?token=***&x=1"),
        ("rtsp://host/user=a_password=b_channel=1", "rtsp://host/user=a_password=***"),
        ("rtspsrc user-id=me user-pw=abc ! x", "rtspsrc user-id=me user-pw=*** ! x"),
        ('rtspsrc user-pw="a b" ! x', "rtspsrc user-pw=*** ! x"),
        ("failed: rtsp://a:b@h/1, http://c:d@h/2", "failed: rtsp://***@h/1, http://***@h/2"),
        ("nothing to hide: a@b.c, key-int-max=30", "nothing to hide: a@b.c, key-int-max=30"),
    ],
)
def test_logins_and_tokens_are_hidden(text: str, plain: str) -> None:
    assert redact(text) == plain


@given(
    user=st.text(min_size=1, max_size=8).filter(lambda t: ":" not in t),
    password=st.from_regex(r"[!-~]{0,6}q#x@/y:z[!-~]{0,6}", fullmatch=True),
)
def test_a_login_of_any_characters_arrives_whole(user: str, password: str) -> None:
    parts = urlsplit(with_login("rtsp://old:login@host:8554/cam?a=1", f"{user}:{password}"))
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("host", 8554, "/cam", "a=1")


@given(st.text("abc:/?#&=@!'\" %\\\n", max_size=12))
def test_a_password_of_any_characters_is_in_no_message(around: str) -> None:
    for text in (f"rtsp://me:{around}hunter2{around}@host/cam", f"rtsp://me:hunter2{around}@h#a=1"):
        try:
            spec = parse_source(text)
        except ConfigError as error:
            told = str(error)
        else:
            told = f"{spec} {spec.target} {spec.text} {spec.options}"
        assert "hunter2" not in told


def test_the_secret_is_kept_for_the_camera_alone() -> None:
    spec = parse_source("rtsp://me:hunter2@host/cam?channel=1#transport=udp")
    assert spec.secret == "rtsp://me:hunter2@host/cam?channel=1"
    assert "hunter2" not in repr(spec)
    assert spec == SourceSpec(
        "rtsp",
        "rtsp://***@host/cam?channel=1",
        {"transport": "udp"},
        "rtsp://***@host/cam?channel=1#transport=udp",
        "rtsp://me:hunter2@host/cam?channel=1",
    )


class TestReadingALogin:
    def test_none_is_none(self) -> None:
        assert read_login(None, None) is None

    def test_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATE", " me:p:w ")
        assert read_login("GATE", None) == "me:p:w"

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "login").write_text("me:pw\n")
        assert read_login(None, str(tmp_path / "login")) == "me:pw"

    def test_a_credential_of_systemd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "gate").write_text("me:pw")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        assert read_login(None, "gate") == "me:pw"

    @pytest.mark.parametrize("content", ["", "hunter2", ":hunter2", "a:hunter2\nb:c", "me:"])
    def test_what_is_no_login_is_not_told(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "login").write_text(content)
        with pytest.raises(ConfigError, match="expected one line, user:password") as caught:
            read_login(None, str(tmp_path / "login"))
        assert "hunter2" not in str(caught.value)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no EDGESAM_NOPE in the environment"):
            read_login("EDGESAM_NOPE", None)
        with pytest.raises(ConfigError, match="No such file"):
            read_login(None, str(tmp_path / "nope"))
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigError, match="not UTF-8"):
            read_login(None, str(tmp_path / "bytes"))

    def test_two_places_are_one_too_many(self) -> None:
        with pytest.raises(ConfigError, match="one login, one place"):
            read_login("A", "b")
