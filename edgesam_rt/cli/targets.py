"""Outputs that cannot be, or would destroy something: refused before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path
from edgesam_rt.sinks.spec import SinkSpec, require
from edgesam_rt.sinks.table import SINKS


def check_targets(source: SourceSpec, sinks: Sequence[SinkSpec]) -> None:
    """Refuse a sink without its library, or over the source; two sinks that write one place.

    Raises:
        ConfigError: names the sink, and says what it would destroy.
        SinkMissing: a library is not installed.
    """
    read = _paths_read(source)
    held: dict[str, str] = {}
    for sink in sinks:
        require(sink)
        kind = SINKS[sink.scheme].kind
        if not sink.place or kind == "folder":  # its files have names of their own
            continue
        place = Path(sink.place)
        if place in read:
            raise ConfigError(
                f"sink {sink.text!r}: would write over the source {source.text}. "
                "Name another place."
            )
        is_shared = kind == "pictures" and not place.suffix
        if sink.place in held and not is_shared:
            raise ConfigError(
                f"sink {sink.text!r}: {held[sink.place]!r} writes to the same place. "
                "Name another one."
            )
        held[sink.place] = sink.text


def _paths_read(source: SourceSpec) -> set[Path]:
    """The source's file or folder; of a single picture also its folder, where it has its name."""
    if source.scheme not in ("file", "images") or not source.target:
        return set()
    path = user_path(source.target).resolve()
    return {path, path.parent} if source.scheme == "images" and path.is_file() else {path}
