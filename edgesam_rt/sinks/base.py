"""What every consumer of results does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgesam_rt.records import Result


class Sink(Protocol):
    """A consumer of results, opened, used and closed by one thread.

    Attributes:
        name: the spec it was opened with, without secrets.
    """

    name: str

    def write(self, result: Result) -> None:
        """Take one result.

        Raises:
            SinkError: it could not be written; what was written before is intact.
            ConsumerGone: nobody reads any more; the run goes on for the other sinks.
            ResultsLost: others, older ones perhaps, had to be given up; the run goes on.
        """
        ...

    def close(self) -> None:
        """Finish what was written; a second call does nothing.

        Raises:
            ResultsLost: what waited could not be delivered in time.
        """
        ...


@dataclass(frozen=True)
class RunInfo:
    """What a sink may want to know about the run before the first result.

    Attributes:
        fps: frames per second of the source, or None.
        length: how many frames it will give, or None.
        live: whether the source is live.
        resumes: whether the run is a service, which goes on where it ended.
    """

    fps: float | None = None
    length: int | None = None
    live: bool = False
    resumes: bool = False
