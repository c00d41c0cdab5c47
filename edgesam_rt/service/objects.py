"""Objects with names of their own: what is asked when a run can be changed while it goes on."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import ClassVar

from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import PromptError
from edgesam_rt.pipeline.recall import Recall
from edgesam_rt.pipeline.task import Prompts, PromptTask, TrackTask
from edgesam_rt.pipeline.work import Task, Work
from edgesam_rt.records import Frame, MaskSet, Prompt


@dataclass(eq=False)
class AskTask:
    """Prompt mode: the same objects in every frame, each under its id.

    In its first frame a prompt outside the picture is an error. Later, when a camera came back with
    a smaller picture, that object is left out of the result and the run goes on.

    Attributes:
        objects: prompts by id.
        by_frame: prompts for frames of certain names, instead of `objects`.
        unmatched: names in `by_frame` that no frame had so far.
    """

    mode: ClassVar[str] = "prompt"
    objects: Mapping[int, Prompt]
    by_frame: Mapping[str, tuple[Prompt, ...]] = field(default_factory=dict)
    unmatched: set[str] = field(default_factory=set)
    _asked: tuple[int, ...] = field(default=(), init=False)
    _has_answered: bool = field(default=False, init=False)
    _recall: Recall = field(default_factory=Recall, init=False)

    def open(self, engines: EngineSet) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """The frame's own prompts, else those of the objects that lie in it."""
        self.unmatched.discard(frame.name)
        own = self.by_frame.get(frame.name)
        if own is not None:
            self._asked = ()
            return own
        asked = {
            object_id: prompt
            for object_id, prompt in self.objects.items()
            if not self._has_answered or why_outside(prompt, frame) is None
        }
        self._asked = tuple(asked)
        return tuple(asked.values())

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """One mask per prompt."""

        def ask() -> MaskSet:
            masks = decoder.predict(work.embedding, work.prompts)
            return replace(masks, object_ids=self._asked)

        answered = self._recall.answer(work.embedding, (self._asked, work.prompts), ask)
        self._has_answered = True
        return answered


@dataclass(frozen=True)
class _Coming:
    """A prompt that waits for its first frame, what is done then, and the id that came of it."""

    prompt: Prompt
    begin: Callable[[], int]
    done: Future[int] = field(default_factory=Future)


@dataclass
class FollowTask(TrackTask):
    """Track mode, to which objects may be added, and in which they may change, while it runs."""

    _coming: queue.SimpleQueue[_Coming] = field(default_factory=queue.SimpleQueue, init=False)

    def add(self, prompt: Prompt, at_least: int) -> Future[int]:
        """Follow one more object from the next frame on; from any thread.

        Returns:
            Its id, `at_least` or the next free one; PromptError if it lies outside that frame.
        """
        return self._with_next(prompt, lambda: self.tracker.add(prompt, at_least=at_least))

    def change(self, object_id: int, prompt: Prompt) -> Future[int]:
        """Follow an object by another prompt from the next frame on; from any thread.

        Returns:
            Its id; PromptError if the prompt lies outside that frame, and all is as it was.
        """
        return self._with_next(prompt, lambda: self.tracker.begin_anew(object_id, prompt))

    def _with_next(self, prompt: Prompt, begin: Callable[[], int]) -> Future[int]:
        coming = _Coming(prompt, begin)
        self._coming.put(coming)
        return coming.done

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """None; what was added or changed is followed from this frame on."""
        while not self._coming.empty():
            coming = self._coming.get()
            if coming.done.set_running_or_notify_cancel():
                why = why_outside(coming.prompt, frame)
                if why is not None:
                    coming.done.set_exception(why)
                else:
                    coming.done.set_result(coming.begin())
        return super().prompts_for(frame)


def why_outside(prompt: Prompt, frame: Frame) -> PromptError | None:
    """Why a prompt means nothing on a picture, or None if it does."""
    try:
        prompt.on_image(frame.image_hw)
    except PromptError as error:
        return error
    return None


def steerable(task: Task) -> Task:
    """Return a task of the same objects that can be changed while it runs."""
    if isinstance(task, PromptTask):
        asked = task.prompts
        return AskTask(dict(enumerate(asked.everywhere, 1)), asked.by_frame, task.unmatched)
    if isinstance(task, TrackTask):
        return FollowTask(task.prompts, task.unmatched)
    return task


def objects_of(task: Task) -> dict[int, Prompt]:
    """The objects that a task was made with, by id."""
    if isinstance(task, AskTask):
        return dict(task.objects)
    if isinstance(task, TrackTask):
        return dict(enumerate(task.prompts.everywhere, 1))
    return {}


def following(objects: Mapping[int, Prompt]) -> FollowTask:
    """Return a task that follows objects under their ids."""
    task = FollowTask(Prompts())
    for object_id, prompt in objects.items():
        task.tracker.add(prompt, at_least=object_id)
    return task
