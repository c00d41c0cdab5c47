"""The bundle's thresholds for everything mode, some of them replaced by a caller's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edgesam_rt.config import convert
from edgesam_rt.manifest import EverythingFacts


def with_options(facts: EverythingFacts, options: Mapping[str, float]) -> EverythingFacts:
    """The bundle's thresholds, some of them replaced by a caller's.

    Raises:
        ConfigError: an option that does not exist, or a value out of range.
    """
    return convert({**msgspec.structs.asdict(facts), **options}, EverythingFacts, "everything mode")
