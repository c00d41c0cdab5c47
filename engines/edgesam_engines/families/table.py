"""The model families, as data: a new one is a file and a row."""

from __future__ import annotations

import importlib

from edgesam_engines.families.base import Family
from edgesam_rt.errors import ConfigError, unknown_name

TABLE: dict[str, tuple[str, str]] = {
    "edgesam": ("edgesam_engines.families.edgesam", "EdgeSam"),
    "efficient-sam": ("edgesam_engines.families.efficient_sam", "EfficientSam"),
    "efficientvit-sam": ("edgesam_engines.families.efficientvit_sam", "EfficientVitSam"),
    "efficientvit-sam-xl": ("edgesam_engines.families.efficientvit_sam", "EfficientVitSamXl"),
    "fastsam": ("edgesam_engines.families.fastsam", "FastSam"),
    "mobilesam": ("edgesam_engines.families.mobilesam", "MobileSam"),
    "nanosam": ("edgesam_engines.families.nanosam", "NanoSam"),
    "pocketsam": ("edgesam_engines.families.pocketsam_family", "PocketSamFamily"),
    "repvit-sam": ("edgesam_engines.families.repvit_sam", "RepVitSam"),
    "sam": ("edgesam_engines.families.sam", "Sam"),
    "slimsam": ("edgesam_engines.families.slimsam", "SlimSam"),
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
