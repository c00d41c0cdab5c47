"""What is asked of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from edgesam_rt.clock import CLOCK
from edgesam_rt.decoders import AnyDecoder, asking, no_decoder
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.everything.options import with_options
from edgesam_rt.everything.strategies import STRATEGIES, Request, everything
from edgesam_rt.finder import Finder
from edgesam_rt.manifest import EverythingFacts, InstanceFacts
from edgesam_rt.pipeline.instances_task import InstancesTask
from edgesam_rt.pipeline.recall import Recall
from edgesam_rt.pipeline.work import Task, Work
from edgesam_rt.records import Frame, MaskSet, Prompt
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.tracking.tracker import Moment, Tracker

MODES = ("everything", "prompt", "track")
DEFAULT_STRATEGY = "grid"


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

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
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
        """Learn from the manifest what embeddings look like.

        Raises:
            ConfigError: the bundle has no decoder to ask.
        """
        if engines.bundle.manifest.instances is not None:
            raise ConfigError(no_decoder("track mode"))
        self._reader = CellReader.of(engines.bundle, engines.options.backend, engines.sides[0])

    def close(self) -> None:
        """Nothing."""

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """None; the frame's own prompts become objects to follow."""
        if frame.name in self.unmatched:
            self.unmatched.discard(frame.name)
            self._follow(self.prompts.by_frame[frame.name])
        return ()

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """One mask per object, empty for those that are lost; those are looked for in time left."""
        return self._recall.answer(
            work.embedding, self.tracker.track_ids, lambda: self._look(decoder, work)
        )

    def _look(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        assert self._reader is not None, "open() comes first"
        has_time = work.deadline_ns is None or CLOCK.now_ns() < work.deadline_ns
        moment = Moment(work.frame.frame_id, work.frame.captured_at_ns, has_time)
        cells = self._reader.read(work.embedding)
        return self.tracker.update(asking(decoder, "track mode"), work.embedding, cells, moment)

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

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """All masks found before the deadline, best first."""
        return self._recall.answer(
            work.embedding, work.points_per_side, lambda: self._find(decoder, work)
        )

    def _find(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        per_side = min(self.facts.points_per_side, work.points_per_side or 256)
        request = Request(
            asking(decoder, f"strategy {self.strategy!r}"),
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
    facts: EverythingFacts | InstanceFacts,
    *,
    may_be_empty: bool = False,
) -> Task:
    """Return the task of a mode; None is "prompt" if there are prompts, else "everything".

    Args:
        mode: a name of `MODES`, or None.
        prompts: what to ask.
        strategy: of everything mode.
        facts: its thresholds, of the bundle's kind.
        may_be_empty: whether prompts may come later.

    Raises:
        ConfigError: an unknown mode or strategy, or one that the bundle has not; prompt mode
            without a prompt.
    """
    mode = mode or ("prompt" if prompts else "everything")
    if mode not in MODES:
        raise ConfigError(unknown_name("mode", mode, MODES))
    if strategy not in STRATEGIES:
        raise ConfigError(unknown_name("strategy", strategy, STRATEGIES))
    if mode == "everything" and prompts:
        raise ConfigError("everything mode takes no prompts. Leave them out, or --mode prompt.")
    if isinstance(facts, InstanceFacts):
        refuse_asking(mode, strategy)
    if mode == "everything":
        if isinstance(facts, InstanceFacts):
            return InstancesTask(facts)
        return EverythingTask(facts, strategy)
    if not prompts and not may_be_empty:
        raise ConfigError(
            f"{mode} mode: no prompt. Give --point, --box or --prompts, or --mode everything."
        )
    return TrackTask(prompts) if mode == "track" else PromptTask(prompts)


def refuse_asking(mode: str, strategy: str) -> None:
    """Refuse what a bundle that finds instances cannot do.

    Raises:
        ConfigError: track mode, or a strategy other than the default, which says nothing.
    """
    if mode == "track":
        raise ConfigError(no_decoder("track mode"))
    if strategy != DEFAULT_STRATEGY:
        raise ConfigError(f"{no_decoder(f'strategy {strategy!r}')} Leave the strategy out.")
