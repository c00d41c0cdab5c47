"""Heat and quota reach the budget while a run goes on, and the thread ends with it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgesam_rt import boards
from edgesam_rt.clock import CLOCK
from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.budget import Budget
from edgesam_rt.pipeline.ladder import Seen
from edgesam_rt.pipeline.stages import Shared
from edgesam_rt.pipeline.surroundings import tells_heat, watch
from edgesam_rt.system.probes import Probes
from tests.bench.machines import RASPBERRY, Firmware, write


def test_a_throttled_board_goes_down_a_step_and_says_so(
    engines: EngineSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = Shared(engines, CLOCK, 100.0)
    budget = Budget(100.0, shared.steps, may_drop=True)
    shared.budget.set_result(budget)
    firmware = Firmware("throttled=0x4")
    probes = Probes(boards.load("rpi5").heat, write(tmp_path, RASPBERRY), firmware)
    asked: list[int] = []

    def quota() -> float | None:
        asked.append(1)
        if len(asked) == 3:
            shared.finished.set()
        return 0.5

    caplog.set_level(logging.WARNING)
    watch(shared, probes, quota, every_s=0.01)
    assert len(asked) == 3
    assert budget.at == (1, "throttled")
    assert shared.readings.reasons == ("throttled",)
    assert caplog.messages == ["held back by: throttled"]


def test_a_quota_keeps_a_step_that_it_has_no_room_for_from_being_tried(
    ladder_engines: EngineSet,
) -> None:
    """A busy second at side 384, on a quota of a thousandth of a core: 512 would not fit."""
    shared = Shared(ladder_engines, CLOCK, 100.0)
    budget = Budget(100.0, shared.steps, may_drop=True)
    shared.budget.set_result(budget)
    budget.learn(Seen(150.0, 150.0, 0), 0.0)
    now_s = 0.0
    for quota, step in ((0.001, 1), (None, 0)):

        def read(quota: float | None = quota) -> float | None:
            shared.finished.set()
            return quota

        shared.finished.clear()
        watch(shared, None, read, every_s=0.01)
        for _ in range(40):
            sum(range(20_000))
            now_s += 0.1
            budget.learn(Seen(10.0, 10.0, budget.step), now_s)
        assert budget.step == step


def test_boards_that_tell_nothing_of_heat_are_not_asked() -> None:
    assert not tells_heat(boards.load("cpu"))
    assert tells_heat(boards.load("rpi4"))
    assert tells_heat(boards.load("jetson-nano"))
