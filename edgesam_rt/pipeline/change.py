"""Other sinks in place of those that run: the new ones are open before an old one is let go.

A file, a port or a socket cannot be held twice. Where a new sink needs what an old one has, the old
one is closed first; if the new one then does not open, the old one is opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Protocol, TypeVar

from edgesam_rt.errors import EdgeSamError, PipelineError
from edgesam_rt.pipeline.lanes import Lane, Lanes

OPEN_TIMEOUT_S = 10.0  # how long a sink may take to open or to close while the run goes on

Opening = tuple[Lane, "Future[None]"]


class _Placed(Protocol):
    """A sink not opened yet: what it will hold."""

    @property
    def place(self) -> str: ...


Sought = TypeVar("Sought", bound=_Placed)


def change_lanes(
    lanes: Lanes,
    here: Mapping[str, Lane],
    known: Mapping[str, Sought],
    wanted: Mapping[str, Sought],
    start: Callable[[Sought], Opening],
) -> None:
    """Give results to what is wanted; lanes that stay, by name, are not touched.

    Args:
        lanes: of the run; changed.
        here: those of them that may go, by name.
        known: how each of `here` is opened.
        wanted: what there shall be, by name.
        start: starts one; the future ends when it is open.

    Raises:
        PipelineError: one did not open or close in time.
        EdgeSamError: one cannot be opened; all is as it was.
    """
    fresh = [wanted[name] for name in wanted if name not in here]
    going = [here[name] for name in here if name not in wanted]
    needed = {plan.place for plan in fresh if plan.place}
    first = [lane for lane in going if lane.place in needed]
    try:
        _let_go(lanes, first)
        new = _open(fresh, start)
    except EdgeSamError:
        for lane in _open([known[lane.name] for lane in first], start):
            lanes.add(lane)
        raise
    for lane in new:
        lanes.add(lane)
    for lane in going:
        lanes.remove(lane)


def _let_go(lanes: Lanes, going: Sequence[Lane]) -> None:
    """Close sinks, and wait until what they held is free."""
    for lane in going:
        lanes.remove(lane)
    for lane in going:
        if not lane.ended.wait(OPEN_TIMEOUT_S):
            raise PipelineError(
                f"sink {lane.name}: still holds {lane.place} after {OPEN_TIMEOUT_S:g} s. "
                "Reload again, or restart."
            )


def _open(plans: Sequence[Sought], start: Callable[[Sought], Opening]) -> list[Lane]:
    """Open sinks; if one cannot be, none stays."""
    new = [start(plan) for plan in plans]
    try:
        for lane, opened in new:
            _wait_for(lane.name, opened)
    except EdgeSamError:
        for lane, _ in new:
            lane.slot.close()
        raise
    return [lane for lane, _ in new]


def _wait_for(name: str, opened: Future[None]) -> None:
    """Wait until a sink is open; what it raised comes out."""
    try:
        opened.result(OPEN_TIMEOUT_S)
    except FutureTimeout as error:
        raise PipelineError(f"sink {name}: did not open within {OPEN_TIMEOUT_S:g} s.") from error
