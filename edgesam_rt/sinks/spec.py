"""What a user writes to name a sink: `scheme:target?option=value&…`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from edgesam_rt.errors import ConfigError, SinkMissing, unknown_name
from edgesam_rt.options import read_values
from edgesam_rt.paths import user_path
from edgesam_rt.secrets import redact_address
from edgesam_rt.sinks.base import RunInfo, Sink
from edgesam_rt.sinks.table import SINKS

STDOUT = "-"
_MQTT = ("mqtt", "mqtts")  # an address alone, mqtts://host, is mqtt:mqtts://host


@dataclass(frozen=True)
class SinkSpec:
    """A parsed sink.

    Attributes:
        scheme: a row of `sinks/table.py`.
        target: what follows the colon: a path, an address; with its login, if it has one.
        options: the value of every option the sink has, given or not.
        text: as the user wrote it, without secrets, for messages.
    """

    scheme: str
    target: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    @property
    def name(self) -> str:
        """The text without options."""
        return self.text.partition("?")[0]

    @property
    def place(self) -> str:
        """What no other sink may hold at the same time: a file, a port, a socket; "" if nothing."""
        kind = SINKS[self.scheme].kind
        if kind == "nothing" or self.target == STDOUT:
            return ""
        if kind == "address":
            return redact_address(f"{self.scheme}:{self.target}")
        return str(user_path(self.target).resolve())


def parse_sink(text: str) -> SinkSpec:
    """Read a sink's spec; nothing is opened.

    Args:
        text: like "overlay:out.mp4?fps=15", "jsonl:-" or "null:".

    Raises:
        ConfigError: an unknown scheme or option, a missing, needless or wrong target, a value that
            cannot be.
    """
    before, _, query = text.partition("?")
    shown = redact_address(before) + text[len(before) :] if "://" in before else text
    scheme, colon, target = before.partition(":")
    if target.startswith("//") and scheme in _MQTT:
        scheme, target = "mqtt", before
    if scheme not in SINKS and not colon:
        raise ConfigError(
            f"sink {shown!r}: expected SCHEME:TARGET, for example overlay:{shown or 'out.mp4'}. "
            f"Known schemes: {', '.join(SINKS)}."
        )
    if scheme not in SINKS:
        raise ConfigError(f"sink {shown!r}: {unknown_name('scheme', scheme, SINKS)}")
    _check_target(scheme, target, shown)
    given = _given(shown, query)
    options = read_values(f"sink {shown!r}", scheme, given, SINKS[scheme].options)
    return SinkSpec(scheme, target, options, shown)


def _check_target(scheme: str, target: str, shown: str) -> None:
    row = SINKS[scheme]
    if bool(target) != bool(row.target):
        needs = f"needs a target: {scheme}:{row.target}" if row.target else "takes no target"
        raise ConfigError(f"sink {shown!r}: {scheme} {needs}.")
    if row.check is None:
        return
    try:
        row.check(target)
    except ValueError as error:
        raise ConfigError(f"sink {shown!r}: {error}. Expected {scheme}:{row.target}.") from None


def _given(shown: str, query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ConfigError(
            f"sink {shown!r}: options are key=value joined by &, got {query!r}."
        ) from error
    for i, (key, _) in enumerate(pairs):
        if key in dict(pairs[:i]):
            raise ConfigError(f"sink {shown!r}: option {key} is given twice.")
    return dict(pairs)


def require(spec: SinkSpec) -> None:
    """See that the libraries are installed that a sink needs.

    Raises:
        SinkMissing: one is not; the message has the command that installs it.
    """
    row = SINKS[spec.scheme]
    for module in row.needs:
        if importlib.util.find_spec(module) is None:
            raise SinkMissing(f"sink {spec.text!r}: {row.missing}")


def open_sink(spec: SinkSpec, info: RunInfo) -> Sink:
    """Open a sink; the caller closes it.

    Args:
        spec: from `parse_sink`.
        info: what is known about the run.

    Raises:
        ConfigError: the target cannot be what it should be, for example a folder is a file.
        SinkError: it cannot be written.
        SinkMissing: a library is not installed.
    """
    require(spec)
    row = SINKS[spec.scheme]
    opens: Callable[[SinkSpec, RunInfo], Sink]
    opens = getattr(importlib.import_module(row.module), row.class_name).from_spec
    return opens(spec, info)
