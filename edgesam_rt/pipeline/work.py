"""One frame's work, and what a task does with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.engines import EngineSet
from edgesam_rt.records import Embedding, Frame, MaskSet, Prompt


@dataclass(frozen=True, eq=False)
class Work:
    """One frame to be answered.

    Attributes:
        frame, embedding: the picture and what the encoder made of it.
        prompts: what is asked, one per object.
        deadline_ns: monotonic time at which masks must be there; None is never.
        points_per_side: of everything mode's grid, at most; 0: as many as the bundle says.
    """

    frame: Frame
    embedding: Embedding
    prompts: tuple[Prompt, ...]
    deadline_ns: int | None = None
    points_per_side: int = 0


class Task(Protocol):
    """Turns embeddings into masks; opened, used and closed by the decode thread."""

    @property
    def mode(self) -> str:
        """One of MODES; may be asked from any thread."""
        ...

    def open(self, engines: EngineSet) -> None:
        """Open what it needs beside the decoder."""
        ...

    def close(self) -> None:
        """Give it back; also after `open` failed."""
        ...

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """What is asked about a frame, one per object; empty in the other modes."""
        ...

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """Return one mask per object."""
        ...
