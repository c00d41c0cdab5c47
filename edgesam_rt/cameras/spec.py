"""From what a user typed to a SourceSpec; everything that can be wrong with it is said here."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.imaging.files import is_picture_name, no_such_file
from edgesam_rt.paths import user_path
from edgesam_rt.secrets import redact, redact_address

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):")
_QUERY = re.compile(r"\?([A-Za-z_]\w*=[^&?]*(?:&[A-Za-z_]\w*=[^&?]*)*)$")
_PAIR = re.compile(r"[A-Za-z_]\w*=[^&]*")
_DEVICE = re.compile(r"/dev/(video\d|v4l/)")
_WILD = re.compile(r"[*?\[]")


def parse_source(text: str) -> SourceSpec:
    """Parse `scheme:target?option=value&…` or a bare path.

    Addresses and pipelines take their options after a #, for a ? may be part of them.

    A bare path, and the target of `file:`, may be a video, a picture, a folder or a pattern of
    pictures, or a camera's device. Colons and question marks may be part of a path: only a known
    scheme before the first colon is one, and only `?name=value` at the very end of something that
    is not itself an existing path is options. Values are percent-decoded, paths are not.

    Returns:
        A spec whose scheme, options and their values are known to be good and whose path exists.

    Raises:
        ConfigError: anything else, with the nearest thing that would be right.
    """
    if not text.strip():
        raise ConfigError(f"no source given. Give a path, or one of: {_all_schemes()}.")
    scheme, rest = _split_scheme(text)
    if scheme and SOURCES[scheme].mark == "#":
        return _with_secrets(scheme, rest, text)
    target, options = _split_options(rest)
    if scheme in ("", "file"):
        scheme, target = _what_lies_at(target)
    spec = SourceSpec(scheme, target, options, text)
    read_options(spec, SOURCES[scheme].options)
    _check_target(spec)
    return spec


def _with_secrets(scheme: str, rest: str, text: str) -> SourceSpec:
    """Parse an address or a pipeline; a login in it goes nowhere but into `secret`."""
    is_address = SOURCES[scheme].target == "address"
    hide = redact_address if is_address else redact
    whole, _, query = rest.partition("#")
    if query and not all(_PAIR.fullmatch(part) for part in query.split("&")):
        raise ConfigError(
            f"source {hide(text)!r}: after the # come options, as NAME=VALUE&NAME=VALUE; write %23 "
            "for a # that is part of the source."
        )
    options = _pairs(query, hide(text)) if query else {}
    secret = f"{scheme}:{whole}" if is_address else whole
    spec = SourceSpec(scheme, hide(secret), options, hide(text), secret=secret)
    (_check_address if is_address else _check_pipeline)(spec)
    read_options(spec, SOURCES[scheme].options)
    return spec


def _check_address(spec: SourceSpec) -> None:
    try:
        parts = urlsplit(spec.secret)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or re.search(r"\s", spec.secret):
        raise ConfigError(
            f"source {spec.text!r}: expected {spec.scheme}://HOST:PORT/PATH; percent-encode what "
            "is special in a login, or give it by #login_file=."
        )


def _check_pipeline(spec: SourceSpec) -> None:
    if not spec.target.strip():
        raise ConfigError(
            f"source {spec.text!r}: needs a pipeline, as 'gst:videotestsrc is-live=true'."
        )


def is_pattern(target: str) -> bool:
    """Whether a target names files by a pattern; an existing path never does."""
    return bool(_WILD.search(target)) and not _exists(target)


def _split_scheme(text: str) -> tuple[str, str]:
    """Return the scheme ("" for a bare path) and what follows."""
    found = _SCHEME.match(text)
    if found and found[1] in SOURCES:
        return found[1], text[found.end() :]
    if text in SOURCES and not _exists(text):
        raise ConfigError(f"source {text!r}: no such file or folder. Did you mean '{text}:'?")
    if found and not _exists(_split_options(text)[0]):
        unknown = unknown_name("source", found[1], SOURCES)
        raise ConfigError(f"{unknown} No file is called {redact(text)!r}.")
    return "", text


def _split_options(text: str) -> tuple[str, dict[str, str]]:
    """Return the target and the options that follow it."""
    found = None if _exists(text) else _QUERY.search(text)
    if not found:
        return text, {}
    return text[: found.start()], _pairs(found[1], text)


def _pairs(query: str, text: str) -> dict[str, str]:
    """Return the options of a query; `text` is the source, for messages."""
    options: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in options:
            raise ConfigError(f"source {text!r}: option {name!r} is given twice.")
        options[name] = unquote(value)
    return options


def _what_lies_at(target: str) -> tuple[str, str]:
    """Return the scheme that reads a path, and the path."""
    path = user_path(target)
    if _DEVICE.match(target):
        return "v4l2", target
    if is_pattern(target):
        return "images", target
    if not target or not _exists(str(path)):
        raise ConfigError(no_such_file(path) if target else "file: needs a path after the colon.")
    if path.is_char_device():
        return "v4l2", str(path)
    return "images" if path.is_dir() or is_picture_name(path) else "file", str(path)


def _check_target(spec: SourceSpec) -> None:
    kind = SOURCES[spec.scheme].target
    if kind == "nothing" and spec.target:
        raise ConfigError(
            f"source {spec.text!r}: nothing follows {spec.scheme}: but options, "
            f"as {spec.scheme}:?{next(iter(SOURCES[spec.scheme].options))}=…"
        )
    if kind == "files" and not is_pattern(spec.target):
        if not spec.target:
            raise ConfigError(f"source {spec.text!r}: needs a picture, a folder or a pattern.")
        path = user_path(spec.target)
        if not _exists(str(path)):
            raise ConfigError(no_such_file(path))


def _exists(text: str) -> bool:
    """Whether a path exists; one that cannot be (too long, a zero byte) does not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _all_schemes() -> str:
    return ", ".join(f"{scheme}:" for scheme in SOURCES)
