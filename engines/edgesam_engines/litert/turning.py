"""Orders of axes that LiteRT can turn into one another: it takes six axes at once.

Axes that stay side by side are turned as one. Where more than six are left, some are brought to the
front first; there they are one axis from then on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

MOST_AXES = 6
_TOGETHER = 2  # axes that a step of its own brings to the front
Run = tuple[int, ...]  # axes that stay side by side


def turning_steps(
    order: Sequence[int], wanted: Sequence[int]
) -> Iterator[tuple[list[Run], list[Run]]]:
    """Steps that turn one order into another, each as its runs of axes before and behind.

    Args:
        order: axes as they lie in memory.
        wanted: the same axes as they shall lie.
    """
    if len(order) <= MOST_AXES:
        yield [(axis,) for axis in order], [(axis,) for axis in wanted]
        return
    yield from _steps(list(order), list(wanted))


def _steps(order: list[int], wanted: list[int]) -> Iterator[tuple[list[Run], list[Run]]]:
    front = 0
    while len(runs := _runs(order, wanted)) > MOST_AXES:
        front += _TOGETHER
        nearer = wanted[:front] + [axis for axis in order if axis not in wanted[:front]]
        if nearer != order:
            moved = _runs(order, nearer)
            yield _in_order(moved, order), moved
        order = nearer
    yield _in_order(runs, order), runs


def _runs(order: Sequence[int], wanted: Sequence[int]) -> list[Run]:
    """Axes in the order wanted; those that lie side by side in both orders are one run."""
    behind = dict(itertools.pairwise(order))
    runs: list[Run] = []
    for axis in wanted:
        if runs and behind.get(runs[-1][-1]) == axis:
            runs[-1] = (*runs[-1], axis)
        else:
            runs.append((axis,))
    return runs


def _in_order(runs: Sequence[Run], order: Sequence[int]) -> list[Run]:
    return sorted(runs, key=lambda run: order.index(run[0]))
