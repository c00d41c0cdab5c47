"""What is asked of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from edgesam_rt.clock import CLOCK
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.everything.options import with_options
from edgesam_rt.everything.strategies import STRATEGIES, Request, everything
from edgesam_rt.finder import Finder
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.pipeline.recall import Recall
from edgesam_rt.records import Embedding, Frame, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.tracking.tracker import Moment, Tracker

MODES = ("everything", "prompt", "track")
DEFAULT_STRATEGY = "grid"


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

    def answer(self, decoder: Decoder, work: Work) -> MaskSet:
        """Return one mask per object."""
        ...


@dataclass(frozen=True)
class Prompts:
    """What to ask: the same of every frame, or something else of frames with certain names."""

    everywhere: tuple[Prompt, ...] = ()
    by_frame: Mapping[str, tuple[Prompt, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.everywhere) or any(self.by_frame.values())


@dataclass(frozen=True)
class PromptTask:
    """Given prompts.

    Attributes:
        prompts: what to ask.
        unmatched: names in `prompts.by_frame` that no frame had so far.
    """

    mode: ClassVar[str] = "prompt"
    prompts: Prompts
    unmatched: set[str] = field(default_factory=set)
    _recall: Recall = field(default_factory=Recall, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Nothing has matched yet."""
        self.unmatched.update(self.prompts.by_frame)

    def open(self, engines: EngineSet) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """The frame's own prompts, else those for every frame."""
        self.unmatched.discard(frame.name)
        return self.prompts.by_frame.get(frame.name, self.prompts.everywhere)

    def answer(self, decoder: Decoder, work: Work) -> MaskSet:
        """One mask per prompt."""
        return self._recall.answer(
            work.embedding,
            work.prompts,
            lambda: decoder.predict(work.embedding, work.prompts),
        )


@dataclass
class TrackTask:
    """Objects prompted once, then followed.

    Attributes:
        prompts: those for every frame are given at the first one, those for a frame at that one.
        unmatched: names in `prompts.by_frame` that no frame had so far.
        tracker: what follows them; more may be added to it while it runs.
    """

    mode: ClassVar[str] = "track"
    prompts: Prompts
    unmatched: set[str] = field(default_factory=set)
    tracker: Tracker = field(default_factory=Tracker)
    _reader: CellReader | None = field(default=None, init=False)
    _recall: Recall = field(default_factory=Recall, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Follow what is given at the first frame."""
        self.unmatched.update(self.prompts.by_frame)
        self._follow(self.prompts.everywhere)

    def open(self, engines: EngineSet) -> None:
        """Learn from the manifest what embeddings look like."""
        self._reader = CellReader.of(engines.bundle, engines.options.backend, engines.sides[0])

    def close(self) -> None:
        """Nothing."""

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """None; the frame's own prompts become objects to follow."""
        if frame.name in self.unmatched:
            self.unmatched.discard(frame.name)
            self._follow(self.prompts.by_frame[frame.name])
        return ()

    def answer(self, decoder: Decoder, work: Work) -> MaskSet:
        """One mask per object, empty for those that are lost; those are looked for in time left."""
        return self._recall.answer(
            work.embedding, self.tracker.track_ids, lambda: self._look(decoder, work)
        )

    def _look(self, decoder: Decoder, work: Work) -> MaskSet:
        assert self._reader is not None, "open() comes first"
        has_time = work.deadline_ns is None or CLOCK.now_ns() < work.deadline_ns
        moment = Moment(work.frame.frame_id, work.frame.captured_at_ns, has_time)
        cells = self._reader.read(work.embedding)
        return self.tracker.update(decoder, work.embedding, cells, moment)

    def _follow(self, prompts: tuple[Prompt, ...]) -> None:
        for prompt in prompts:
            self.tracker.add(prompt)


@dataclass
class EverythingTask:
    """All masks of every frame.

    Attributes:
        facts: thresholds.
        strategy: a name of `STRATEGIES`.
    """

    mode: ClassVar[str] = "everything"
    facts: EverythingFacts
    strategy: str = DEFAULT_STRATEGY
    _finder: Finder | None = field(default=None, init=False)
    _recall: Recall = field(default_factory=Recall, init=False, repr=False, compare=False)

    def open(self, engines: EngineSet) -> None:
        """Open what finds boxes, if the strategy needs them."""
        if self.strategy == "objects":
            self._finder = engines.open_finder()

    def close(self) -> None:
        """Close it."""
        if self._finder is not None:
            self._finder.close()

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """None."""
        return ()

    def answer(self, decoder: Decoder, work: Work) -> MaskSet:
        """All masks found before the deadline, best first."""
        return self._recall.answer(
            work.embedding, work.points_per_side, lambda: self._find(decoder, work)
        )

    def _find(self, decoder: Decoder, work: Work) -> MaskSet:
        per_side = min(self.facts.points_per_side, work.points_per_side or 256)
        request = Request(
            decoder,
            work.embedding,
            with_options(self.facts, {"points_per_side": per_side}),
            pixels=work.frame.pixels,
            find=self._finder.find if self._finder is not None else None,
            deadline_ns=work.deadline_ns,
        )
        return everything(self.strategy, request)


def mode_of(task: Task) -> str:
    """The mode that a task was made for."""
    return task.mode


def make_task(
    mode: str | None,
    prompts: Prompts,
    strategy: str,
    facts: EverythingFacts,
    *,
    may_be_empty: bool = False,
) -> Task:
    """Return the task of a mode; None is "prompt" if there are prompts, else "everything".

    Args:
        mode: a name of `MODES`, or None.
        prompts: what to ask.
        strategy: of everything mode.
        facts: its thresholds.
        may_be_empty: whether prompts may come later.

    Raises:
        ConfigError: an unknown mode or strategy; prompt mode without a prompt.
    """
    mode = mode or ("prompt" if prompts else "everything")
    if mode not in MODES:
        raise ConfigError(unknown_name("mode", mode, MODES))
    if strategy not in STRATEGIES:
        raise ConfigError(unknown_name("strategy", strategy, STRATEGIES))
    if mode == "everything" and prompts:
        raise ConfigError("everything mode takes no prompts. Leave them out, or --mode prompt.")
    if mode == "everything":
        return EverythingTask(facts, strategy)
    if not prompts and not may_be_empty:
        raise ConfigError(
            f"{mode} mode: no prompt. Give --point, --box or --prompts, or --mode everything."
        )
    return TrackTask(prompts) if mode == "track" else PromptTask(prompts)
