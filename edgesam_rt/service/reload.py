"""A new configuration without a new process: prompts and sinks change, the camera stays open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from edgesam_rt.errors import EdgeSamError
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.work import Task
from edgesam_rt.service.control import PATIENCE_S, Control
from edgesam_rt.service.objects import steerable

TASK_KEYS = frozenset({"everything", "mode", "object", "prompts", "strategy"})
SINK_KEYS = frozenset({"out"})
log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=msgspec.Struct)


class Reloader(Generic[Config]):
    """Applies what can change; says what cannot, and keeps it.

    Args:
        pipeline: that runs.
        control: of its task; what was changed by it since is put back.
        config: that it runs with.
        plan_again: reads the configuration anew and makes a plan of it.

    Attributes:
        config: what is applied now.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        control: Control,
        config: Config,
        plan_again: Callable[[], tuple[Config, Plan]],
    ) -> None:
        self._pipeline, self._control = pipeline, control
        self.config, self._plan_again = config, plan_again

    def reload(self) -> None:
        """Read the configuration and apply it; what is wrong with it is logged, never raised."""
        try:
            config, plan = self._plan_again()
        except EdgeSamError as error:
            log.error("reload: %s All stays as it was.", error)
            return
        changed = _differences(self.config, config)
        _tell_fixed(changed - TASK_KEYS - SINK_KEYS)
        taken: set[str] = set()
        may_differ = self._control.is_changed or getattr(config, "prompts", None)  # that file too
        if changed & TASK_KEYS or may_differ:
            taken |= self._part(TASK_KEYS, lambda: self._restore(plan.task))
        if changed & SINK_KEYS:
            taken |= self._part(SINK_KEYS, lambda: self._pipeline.change_sinks(plan.sinks))
        taken &= changed
        new = {key: getattr(config, key) for key in taken}
        self.config = msgspec.structs.replace(self.config, **new)
        log.info("reload: changed: %s", ", ".join(sorted(taken)) or "nothing")

    def _restore(self, task: Task) -> None:
        if not self._control.restore(steerable(task)):
            log.warning("reload: no frame came in %g s; the next one brings it", PATIENCE_S)

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
