"""A sink that keeps results; the shipped double of all others."""

from __future__ import annotations

from edgesam_rt.records import Result
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.spec import SinkSpec


class MemorySink:
    """Keeps every result.

    Attributes:
        name: "memory:".
        results: what was written, in order; pictures included.
        is_closed: whether `close` was called.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.name = "memory:"
        self.results: list[Result] = []
        self.is_closed = False

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> MemorySink:
        """Open it."""
        return cls()

    def write(self, result: Result) -> None:
        """Keep a result."""
        self.results.append(result)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
