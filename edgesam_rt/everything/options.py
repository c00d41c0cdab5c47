"""The bundle's thresholds for everything mode, some of them replaced by a caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from edgesam_rt.config import convert
from edgesam_rt.manifest import EverythingFacts, InstanceFacts

Facts = TypeVar("Facts", bound=EverythingFacts | InstanceFacts)


def with_options(facts: Facts, options: Mapping[str, float]) -> Facts:
    """The bundle's thresholds, some of them replaced by a caller's.

    Raises:
        ConfigError: an option that does not exist, or a value out of range.
    """
    return convert({**msgspec.structs.asdict(facts), **options}, type(facts), "everything mode")
