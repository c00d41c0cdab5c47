"""A board's ladder as it applies to a run: the sides there are, and what its mode can use."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from edgesam_rt.boards.schema import LadderStep


def for_sides(ladder: Sequence[LadderStep], sides: Sequence[int]) -> tuple[LadderStep, ...]:
    """The steps with encoder sides that are there: the nearest where a step's own is not.

    Steps that are then the same as the one before are left out.

    Args:
        ladder: of the board.
        sides: that may be used, px; at least one.
    """
    out: list[LadderStep] = []
    for step in ladder:
        near = min(sides, key=lambda side: abs(side - step.encoder_side))
        fitted = replace(step, encoder_side=near)
        if not out or replace(fitted, name="") != replace(out[-1], name=""):
            out.append(fitted)
    return tuple(out)


def in_play(steps: Sequence[LadderStep], mode: str) -> tuple[int, ...]:
    """Indices of the steps that make a difference in a mode; the first always does."""
    bare = [_that_counts(step, mode) for step in steps]
    return tuple(i for i, step in enumerate(bare) if i == 0 or step != bare[i - 1])


def _that_counts(step: LadderStep, mode: str) -> LadderStep:
    """The step with everything as in a full one that the mode does not look at."""
    bare = replace(step, name="-")
    return bare if mode == "everything" else replace(bare, points_per_side=0, stop_at=1.0)
