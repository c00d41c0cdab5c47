"""A sink that drops every result."""

from __future__ import annotations

from edgesam_rt.records import Result
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.spec import SinkSpec


class NullSink:
    """Takes results and does nothing with them."""

    name = "null:"

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> NullSink:
        """Open it."""
        return cls()

    def write(self, result: Result) -> None:
        """Drop a result."""

    def close(self) -> None:
        """Do nothing."""
