"""What a user writes to name a sink: `scheme:target?option=value&…`."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from edgesam_rt.errors import ConfigError, SinkMissing, unknown_name
from edgesam_rt.sinks.base import RunInfo, Sink
from edgesam_rt.sinks.table import SINKS

_FLAGS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


@dataclass(frozen=True)
class SinkSpec:
    """A parsed sink.

    Attributes:
        scheme: a row of `sinks/table.py`.
        target: what follows the colon: a path, an address.
        options: the query, decoded.
        text: as the user wrote it, for messages.
    """

    scheme: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def flag(self, key: str, default: bool) -> bool:
        """Read an option that is 1 or 0."""
        value = self.options.get(key)
        if value is None:
            return default
        if value.lower() not in _FLAGS:
            raise ConfigError(f"sink {self.text!r}: {key} is 1 or 0, got {value!r}.")
        return _FLAGS[value.lower()]

    def number(self, key: str, low: float, high: float) -> float | None:
        """Read an option that is a number from low to high, or None if it is not given."""
        value = self.options.get(key)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise ConfigError(
                f"sink {self.text!r}: {key} is a number from {low:g} to {high:g}, got {value!r}."
            )
        return number


def parse_sink(text: str) -> SinkSpec:
    """Read a sink's spec; nothing is opened.

    Args:
        text: like "overlay:out.mp4?fps=15", "jsonl:-" or "null:".

    Raises:
        ConfigError: an unknown scheme or option, a missing or needless target.
    """
    scheme, colon, rest = text.partition(":")
    if scheme not in SINKS and not colon:
        raise ConfigError(
            f"sink {text!r}: expected SCHEME:TARGET, for example overlay:{text or 'out.mp4'}. "
            f"Known schemes: {', '.join(SINKS)}."
        )
    if scheme not in SINKS:
        raise ConfigError(f"sink {text!r}: {unknown_name('scheme', scheme, SINKS)}")
    row = SINKS[scheme]
    target, _, query = rest.partition("?")
    if bool(target) != bool(row.target):
        needs = f"needs a target: {scheme}:{row.target}" if row.target else "takes no target"
        raise ConfigError(f"sink {text!r}: {scheme} {needs}.")
    return SinkSpec(scheme, target, _options(text, query, row.options), text)


def _options(text: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ConfigError(
            f"sink {text!r}: options are key=value joined by &, got {query!r}."
        ) from error
    for i, (key, _) in enumerate(pairs):
        if key not in known:
            raise ConfigError(f"sink {text!r}: {unknown_name('option', key, known)}")
        if key in dict(pairs[:i]):
            raise ConfigError(f"sink {text!r}: option {key} is given twice.")
    return dict(pairs)


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
    row = SINKS[spec.scheme]
    for module in row.needs:
        if importlib.util.find_spec(module) is None:
            raise SinkMissing(f"sink {spec.text!r}: {row.missing}")
    opens: Callable[[SinkSpec, RunInfo], Sink]
    opens = getattr(importlib.import_module(row.module), row.class_name).from_spec
    return opens(spec, info)
