"""How many threads to compute with, on a machine that others use too.

With fewer free cores than threads, every parallel loop waits for the thread that is off the CPU,
and a step takes several times as long as with one thread. So both are tried now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch

PROBE_STEPS = 4  # steps per try
KEEP_STEPS = 60  # steps with the better number before the next try
_SETTLE = 1  # first steps of a try that do not count: kernels are prepared anew


class ThreadTuner:
    """Chooses between `most` threads and one by the time per pixel; told after each step."""

    def __init__(
        self, most: int, set_threads: Callable[[int], None] = torch.set_num_threads
    ) -> None:
        self._choices = (most, 1) if most > 1 else (most,)
        self._set = set_threads
        self._costs: list[list[float]] = [[] for _ in self._choices]
        self._trying = 0  # index of the choice under trial; past the last: none is
        self._left = PROBE_STEPS
        self.threads = most
        self._use(most)

    def _use(self, threads: int) -> None:
        self.threads = threads
        self._set(threads)

    def observe(self, pixels: int, seconds: float) -> None:
        """Take in one step's size and time; may change the number of threads for the next."""
        self._left -= 1
        if self._trying < len(self._choices) and self._left < PROBE_STEPS - _SETTLE:
            self._costs[self._trying].append(seconds / pixels)
        if self._left == 0 and len(self._choices) > 1:
            self._next()

    def _next(self) -> None:
        self._trying += 1
        if self._trying < len(self._choices):
            self._left = PROBE_STEPS
            self._use(self._choices[self._trying])
        elif self._trying == len(self._choices):
            costs = [median(c) for c in self._costs]
            self._left = KEEP_STEPS
            self._use(self._choices[costs.index(min(costs))])
        else:
            self._costs = [[] for _ in self._choices]
            self._trying, self._left = 0, PROBE_STEPS
            self._use(self._choices[0])
