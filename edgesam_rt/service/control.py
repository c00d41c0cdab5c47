"""Change a run while it goes on: its mode, and the objects that it cuts out or follows.

Every change is tried on a frame before it counts, so none ends the run. Changes are made one after
the other; the last one counts, wherever it came from, and a reload puts back what the file says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Literal, TypeVar, cast

from edgesam_rt.errors import ControlError, NoFrame, UnknownObject, WrongMode
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.pipeline.switch import SwitchTask
from edgesam_rt.pipeline.task import EverythingTask
from edgesam_rt.pipeline.work import Task
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Prompt
from edgesam_rt.service.hub import Hub
from edgesam_rt.service.objects import AskTask, FollowTask, following, objects_of

MOST_OBJECTS = 64  # each costs decoder time in every frame
PATIENCE_S = 10.0  # how long a change waits for a frame to be tried on, and for the one before it

Mode = Literal["everything", "prompt", "track"]
Strategy = Literal["grid", "hierarchical", "objects"]
Outcome = TypeVar("Outcome")


class Control:
    """What can be changed; safe to use from any thread.

    Args:
        switch: runs the task.
        task: that it runs now.
        hub: has the newest result.
        facts: of the decoder.
        everything: makes the task of everything mode with a strategy, None the configured one.

    Attributes:
        is_changed: whether something was changed since the configuration was last applied.
    """

    def __init__(
        self,
        switch: SwitchTask,
        task: Task,
        *,
        hub: Hub,
        facts: DecoderFacts,
        everything: Callable[[str | None], Task],
    ) -> None:
        self._switch, self._task, self._hub, self._facts = switch, task, hub, facts
        self._everything = everything
        self._objects = objects_of(task)
        self._last_id = max(self._objects, default=0)
        self._lock = threading.Lock()
        self.is_changed = False

    @property
    def mode(self) -> Mode:
        """The present mode: prompt, track or everything."""
        return mode_of(self._task)

    @property
    def strategy(self) -> Strategy | None:
        """Of everything mode; None in the others."""
        task = self._task
        return cast(Strategy, task.strategy) if isinstance(task, EverythingTask) else None

    @property
    def objects(self) -> Mapping[int, Prompt]:
        """What is asked for, by id; in everything mode what will be again in the other modes."""
        return dict(self._objects)

    def add(self, prompt: Prompt) -> int:
        """Cut out, or follow, one more object; returns its id, never used again in this run.

        Raises:
            PromptError: it means nothing on the present picture.
            WrongMode: everything mode takes no objects; or there are too many.
            NoFrame: no frame came to try it on.
        """
        with self._alone():
            self._refuse_everything()
            if len(self._objects) >= MOST_OBJECTS:
                raise WrongMode(f"there are {MOST_OBJECTS} objects, and no more. Remove one first.")
            self._check(prompt)
            object_id = self._last_id + 1
            if isinstance(self._task, FollowTask):
                object_id = _settled(self._task.add(prompt, object_id))
                self._objects = {**self._objects, object_id: prompt}
            else:
                self._ask({**self._objects, object_id: prompt})
            self._last_id, self.is_changed = object_id, True
            return object_id

    def change(self, object_id: int, prompt: Prompt) -> None:
        """Ask something else about an object, which keeps its id; a followed one begins anew.

        Raises:
            UnknownObject: there is none of that id.
            PromptError: the prompt means nothing on the present picture.
            WrongMode: everything mode takes no objects.
            NoFrame: no frame came to try it on.
        """
        with self._alone():
            self._refuse_everything()
            self._know(object_id)
            self._check(prompt)
            objects = {**self._objects, object_id: prompt}
            if isinstance(self._task, FollowTask):
                _settled(self._task.change(object_id, prompt))
                self._objects = objects
            else:
                self._ask(objects)
            self.is_changed = True

    def remove(self, object_id: int) -> None:
        """Ask for an object no longer, from the next frame on.

        Raises:
            UnknownObject: there is none of that id.
        """
        with self._alone():
            self._know(object_id)
            rest = {key: prompt for key, prompt in self._objects.items() if key != object_id}
            if isinstance(self._task, FollowTask):
                self._task.tracker.remove(object_id)
            elif isinstance(self._task, AskTask):
                self._task.objects = rest
            self._objects, self.is_changed = rest, True

    def set_mode(self, mode: Mode, strategy: Strategy | None = None) -> None:
        """Change the mode; objects begin anew with what they were prompted with.

        Raises:
            WrongMode: a strategy for another mode than everything.
            EdgeSamError: the mode cannot be had, for example a detector is missing.
            NoFrame: no frame came to try it on.
        """
        if strategy is not None and mode != "everything":
            raise WrongMode(f"{mode} mode has no strategy. Leave it out.")
        with self._alone():
            if mode == self.mode and strategy in (None, self.strategy):
                return
            make: dict[Mode, Callable[[], Task]] = {
                "prompt": lambda: AskTask(self._objects),
                "track": lambda: following(self._objects),
                "everything": lambda: self._everything(strategy),
            }
            task = make[mode]()
            _settled(self._switch.change(task))
            self._task, self.is_changed = task, True

    def restore(self, task: Task) -> bool:
        """Do what a configuration says, whatever was changed since.

        Returns:
            Whether it is done; if not, the next frame brings it, unless another change comes first.

        Raises:
            EdgeSamError: it cannot be done; all is as it was.
        """
        with self._alone():
            change = self._switch.change(task)
            try:
                change.result(PATIENCE_S)
            except FutureTimeout:
                change.add_done_callback(lambda done: self._note(task, done))
                return False
            self._note(task, change)
            return True

    def _note(self, task: Task, change: Future[None]) -> None:
        """Take note that a configuration's task took over."""
        if change.cancelled() or change.exception() is not None:
            return
        self._task, self._objects = task, objects_of(task)
        self._last_id = max(self._last_id, *self._objects, 0)
        self.is_changed = False

    def _refuse_everything(self) -> None:
        if self.mode == "everything":
            raise WrongMode("everything mode takes no objects. Change the mode first.")

    def _know(self, object_id: int) -> None:
        if object_id not in self._objects:
            known = ", ".join(map(str, self._objects)) or "none"
            raise UnknownObject(f"no object has the id {object_id}. Known: {known}.")

    def _check(self, prompt: Prompt) -> None:
        """Refuse what means nothing on the picture that is seen now."""
        newest = self._hub.newest()
        if newest is None:
            raise NoFrame("there is no picture yet. Try again when there is.")
        prompt.on_image(newest.frame.image_hw)
        from_prompts([prompt], newest.masks.fit, self._facts)

    def _ask(self, objects: Mapping[int, Prompt]) -> None:
        """Ask for these in prompt mode."""
        former = self._task
        task = AskTask(objects, former.by_frame if isinstance(former, AskTask) else {})
        _settled(self._switch.change(task))
        self._task, self._objects = task, dict(objects)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            raise NoFrame(f"another change has waited {PATIENCE_S:g} s for a frame. Try again.")
        try:
            yield
        finally:
            self._lock.release()


def mode_of(task: Task) -> Mode:
    """The mode of a task that can be changed."""
    modes: dict[type, Mode] = {AskTask: "prompt", FollowTask: "track"}
    return modes.get(type(task), "everything")


def _settled(change: Future[Outcome]) -> Outcome:
    """What came of a change; one that found no frame in time is given up."""
    try:
        return change.result(PATIENCE_S)
    except FutureTimeout:
        if change.cancel():
            raise NoFrame(
                f"no frame came in {PATIENCE_S:g} s to try it on. Nothing was changed."
            ) from None
        return change.result()  # it is being tried just now
    except CancelledError:
        raise ControlError("the run ends, or a reload came first. Nothing was changed.") from None
