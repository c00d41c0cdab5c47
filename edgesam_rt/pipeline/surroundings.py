"""The thread that reads temperature, throttling and quota, and tells the budget."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgesam_rt.boards import Board
from edgesam_rt.pipeline.stages import Shared
from edgesam_rt.system.probes import Probes
from edgesam_rt.system.quota import quota_cores

EVERY_S = 1.0
log = logging.getLogger(__name__)


def tells_heat(board: Board) -> bool:
    """Whether a board's file knows of anything to read."""
    return bool(board.heat.zones) or board.heat.throttling != "nobody"


def watch(
    shared: Shared,
    probes: Probes | None,
    quota: Callable[[], float | None] = quota_cores,
    every_s: float = EVERY_S,
) -> None:
    """Read them now and then until the run ends.

    Args:
        shared: of the run.
        probes: of the board; None where nothing tells.
        quota: cores that the process may use.
        every_s: between two readings.
    """
    was: tuple[str, ...] = ()
    while not shared.finished.wait(every_s):
        if probes is not None:
            shared.readings = probes.read()
        if shared.budget.done():
            now_s = shared.clock.now_ns() / 1e9
            shared.budget.result().heed(shared.readings, quota(), now_s)
        if shared.readings.reasons != was:
            was = shared.readings.reasons
            log.warning("held back by: %s", ", ".join(was) or "nothing any more")
