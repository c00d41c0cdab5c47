"""Other sinks in place of those that run: the new ones are open before an old one is let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from edgesam_rt.errors import EdgeSamError, PipelineError
from edgesam_rt.pipeline.lanes import Lane, Lanes

OPEN_TIMEOUT_S = 10.0  # how long a sink may take to open while the run goes on

Opening = tuple[Lane, "Future[None]"]
Sought = TypeVar("Sought")


def change_lanes(
    lanes: Lanes,
    here: Mapping[str, Lane],
    wanted: Mapping[str, Sought],
    start: Callable[[Sought], Opening],
) -> None:
    """Give results to what is wanted; lanes that stay, by name, are not touched.

    Args:
        lanes: of the run; changed.
        here: those of them that may go, by name.
        wanted: what there shall be, by name.
        start: starts one; the future ends when it is open.

    Raises:
        PipelineError: one did not open in time.
        EdgeSamError: one cannot be opened; all is as it was.
    """
    new = [start(wanted[name]) for name in wanted if name not in here]
    try:
        for lane, opened in new:
            _wait_for(lane.name, opened)
    except EdgeSamError:
        for lane, _ in new:
            lane.slot.close()
        raise
    for lane, _ in new:
        lanes.add(lane)
    for name in here.keys() - wanted.keys():
        lanes.remove(here[name])


def _wait_for(name: str, opened: Future[None]) -> None:
    """Wait until a sink is open; what it raised comes out."""
    try:
        opened.result(OPEN_TIMEOUT_S)
    except FutureTimeout as error:
        raise PipelineError(f"sink {name}: did not open within {OPEN_TIMEOUT_S:g} s.") from error
