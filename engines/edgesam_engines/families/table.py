"""The model families, as data: a new one is a file and a row."""

from __future__ import annotations

import importlib

from edgesam_engines.families.base import Family
from edgesam_rt.errors import ConfigError, unknown_name

TABLE: dict[str, tuple[str, str]] = {
    "mobilesam": ("edgesam_engines.families.mobilesam", "MobileSam"),
    "pocketsam": ("edgesam_engines.families.pocketsam_family", "PocketSamFamily"),
    "tinysam": ("edgesam_engines.families.tinysam", "TinySam"),
}


def open_family(name: str) -> Family:
    """Return a family by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in TABLE:
        raise ConfigError(unknown_name("family", name, TABLE))
    module, factory = TABLE[name]
    family: Family = getattr(importlib.import_module(module), factory)()
    return family
