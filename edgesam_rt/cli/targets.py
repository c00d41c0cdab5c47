"""Outputs that would destroy something: refused before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path
from edgesam_rt.sinks.spec import SinkSpec

_SINKS = ("jsonl", "overlay")  # masks: has names of its own, and never a source's
_STDOUT = "-"


def check_targets(source: SourceSpec, sinks: Sequence[SinkSpec]) -> None:
    """Refuse to write over the source, or to write one file from two sinks.

    Raises:
        ConfigError: names the sink, and says what it would destroy.
    """
    read = _paths_read(source)
    written: dict[Path, str] = {}
    for sink in sinks:
        if sink.scheme not in _SINKS or sink.target == _STDOUT:
            continue
        path = user_path(sink.target).resolve()
        if path in read:
            raise ConfigError(
                f"sink {sink.text!r}: would write over the source {source.text}. "
                "Name another place."
            )
        if path in written and path.suffix:
            raise ConfigError(
                f"sink {sink.text!r}: {written[path]!r} writes the same file. Name another one."
            )
        written[path] = sink.text


def _paths_read(source: SourceSpec) -> set[Path]:
    """The source's file or folder; of a single picture also its folder, where it has its name."""
    if source.scheme not in ("file", "images") or not source.target:
        return set()
    path = user_path(source.target).resolve()
    return {path, path.parent} if source.scheme == "images" and path.is_file() else {path}
