"""Another task in place of the one that runs, without a frame lost."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import replace

from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import as_ours
from edgesam_rt.pipeline.work import Task, Work
from edgesam_rt.records import Frame, MaskSet, Prompt

log = logging.getLogger(__name__)


class SwitchTask:
    """A task that can be changed while frames are answered.

    The next task is tried on a frame that the present one has just answered; only if that goes
    well does it take over. So a prompt that lies outside the picture ends no run.

    Args:
        task: what is asked at first.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._next: tuple[Task, Future[None]] | None = None
        self._engines: EngineSet | None = None
        self._lock = threading.Lock()

    @property
    def mode(self) -> str:
        """Of the present task."""
        return self._task.mode

    def change(self, task: Task) -> Future[None]:
        """Ask for another task; the future ends when it took over, or with why it did not.

        An earlier change that still waits for a frame is given up; its future is cancelled.
        """
        done: Future[None] = Future()
        with self._lock:
            given_up, self._next = self._next, (task, done)
        if given_up is not None:
            given_up[1].cancel()
        return done

    def open(self, engines: EngineSet) -> None:
        """Open the first task."""
        self._engines = engines
        self._task.open(engines)

    def close(self) -> None:
        """Close the task that runs; a change that still waits is given up."""
        with self._lock:
            given_up, self._next = self._next, None
        if given_up is not None:
            given_up[1].cancel()
        self._task.close()

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """What the present task asks about a frame."""
        return self._task.prompts_for(frame)

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """Masks of the present task; afterwards the next one may take over."""
        masks = self._task.answer(decoder, work)
        with self._lock:
            waiting, self._next = self._next, None
        if waiting is not None:
            self._try(*waiting, decoder, work)
        return masks

    def _try(self, task: Task, done: Future[None], decoder: AnyDecoder, work: Work) -> None:
        if not done.set_running_or_notify_cancel():  # whoever asked for it waits no longer
            return
        try:
            assert self._engines is not None, "open() comes first"
            task.open(self._engines)
            prompts = task.prompts_for(work.frame)
            task.answer(decoder, replace(work, prompts=prompts))
        except Exception as error:  # noqa: BLE001 - whoever asked for the change is told
            task.close()
            done.set_exception(as_ours(error))
            return
        former, self._task = self._task, task
        former.close()
        done.set_result(None)
