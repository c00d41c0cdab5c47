"""A new configuration without a new process: prompts and sinks change, the camera stays open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

import msgspec

from edgesam_rt.errors import EdgeSamError
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.switch import SwitchTask

TASK_KEYS = frozenset({"everything", "mode", "object", "prompts", "strategy"})
SINK_KEYS = frozenset({"out"})
FRAME_TIMEOUT_S = 10.0  # how long a change of prompts waits for a frame to be tried on
log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=msgspec.Struct)


class Reloader(Generic[Config]):
    """Applies what can change; says what cannot, and keeps it.

    Args:
        pipeline: that runs.
        task: its task.
        config: that it runs with.
        plan_again: reads the configuration anew and makes a plan of it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        task: SwitchTask,
        config: Config,
        plan_again: Callable[[], tuple[Config, Plan]],
    ) -> None:
        self._pipeline, self._task = pipeline, task
        self._config, self._plan_again = config, plan_again

    def reload(self) -> None:
        """Read the configuration and apply it; what is wrong with it is logged, never raised."""
        try:
            config, plan = self._plan_again()
        except EdgeSamError as error:
            log.error("reload: %s All stays as it was.", error)
            return
        changed = _differences(self._config, config)
        _tell_fixed(changed - TASK_KEYS - SINK_KEYS)
        taken: set[str] = set()
        if changed & TASK_KEYS or getattr(config, "prompts", None):  # the file may have changed
            taken |= self._part(TASK_KEYS, lambda: _settle(self._task.change(plan.task)))
        if changed & SINK_KEYS:
            taken |= self._part(SINK_KEYS, lambda: self._pipeline.change_sinks(plan.sinks))
        taken &= changed
        new = {key: getattr(config, key) for key in taken}
        self._config = msgspec.structs.replace(self._config, **new)
        log.info("reload: changed: %s", ", ".join(sorted(taken)) or "nothing")

    def _part(self, keys: frozenset[str], apply: Callable[[], None]) -> frozenset[str]:
        """Apply one part; return its keys, or none if it could not be."""
        try:
            apply()
        except EdgeSamError as error:
            names = ", ".join(sorted(keys))
            log.error("reload: %s Kept as they were: %s.", error, names)
            return frozenset()
        return keys


def _tell_fixed(keys: set[str]) -> None:
    """Say which keys wait for a restart."""
    if keys:
        log.warning("reload: kept until a restart: %s", ", ".join(sorted(keys)))


def _differences(old: Config, new: Config) -> set[str]:
    names = type(old).__struct_fields__
    return {name for name in names if getattr(old, name) != getattr(new, name)}


def _settle(change: Future[None]) -> None:
    """Wait until a change of the task is done; without a frame it stays asked for."""
    try:
        change.result(FRAME_TIMEOUT_S)
    except FutureTimeout:
        log.warning("reload: no frame came in %g s; the next one brings it", FRAME_TIMEOUT_S)
    except CancelledError:
        log.warning("reload: the run ends; nothing was changed")
