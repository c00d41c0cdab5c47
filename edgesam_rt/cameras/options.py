"""Options of a source, and those that all live cameras have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.patience import Patience
from edgesam_rt.options import Option, flag, number, read_values


def read_options(spec: SourceSpec, known: Mapping[str, Option]) -> dict[str, Any]:
    """Return the value of every known option: the given ones parsed, else the defaults.

    Raises:
        ConfigError: an unknown option (with the nearest known), or a value that cannot be.
    """
    source = spec.text or f"{spec.scheme}:{spec.target}"
    return read_values(f"source {source!r}", spec.scheme, spec.options, known)


def patience_of(values: Mapping[str, Any]) -> Patience:
    """Return the deadlines among the values of a live camera's options."""
    return Patience(
        open_s=values["open"], stall_s=values["stall"], retry_s=values["retry"], wait=values["wait"]
    )


LIVE: Mapping[str, Option] = {
    "open": number(Patience.open_s, 0.0, 600.0, "seconds from a try to its first frame, at most"),
    "retry": number(Patience.retry_s, 0.0, 3600.0, "seconds between two tries, at most"),
    "stall": number(
        Patience.stall_s, 0.0, 600.0, "seconds without a frame after which it is opened anew"
    ),
    "wait": flag(Patience.wait, "wait for a camera that was never there; else that is an error"),
}


def live(**own: Option) -> Mapping[str, Option]:
    """Return a live camera's own options and those that all live cameras have, sorted."""
    return MappingProxyType(dict(sorted({**LIVE, **own}.items())))
