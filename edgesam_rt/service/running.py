"""A run that can be changed while it goes on: by HTTP, and by a reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

import msgspec

from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.switch import SwitchTask
from edgesam_rt.pipeline.work import Task
from edgesam_rt.records import Result
from edgesam_rt.service.control import Control
from edgesam_rt.service.hub import Hub
from edgesam_rt.service.objects import steerable
from edgesam_rt.service.reload import Reloader

Config = TypeVar("Config", bound=msgspec.Struct)


class Running(Generic[Config]):
    """A pipeline with what looks into it and what changes it.

    Args:
        config: that the plan was made of.
        plan: what to run.
        plan_again: reads the configuration anew.
        everything: makes the task of everything mode, of a configuration and a strategy; None is
            the configured strategy.
        on_result: told of every result too, by the thread that makes them.

    Attributes:
        pipeline: to be started.
        hub: has the newest result.
        control: changes mode and objects.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        plan_again: Callable[[], tuple[Config, Plan]],
        *,
        everything: Callable[[Config, str | None], Task],
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        task = steerable(plan.task)
        switch, self.hub = SwitchTask(task), Hub()
        self._on_result = on_result
        self.pipeline = Pipeline(replace(plan, task=switch), on_result=self._take)
        self.control = Control(
            switch,
            task,
            hub=self.hub,
            facts=plan.engines.bundle.manifest.decoder,
            everything=lambda strategy: everything(self._reloader.config, strategy),
        )
        self._reloader = Reloader(self.pipeline, self.control, config, plan_again)

    def reload(self) -> None:
        """Read the configuration and apply what can change; see Reloader."""
        self._reloader.reload()

    def _take(self, result: Result) -> None:
        self.hub.put(result)
        if self._on_result is not None:
            self._on_result(result)
