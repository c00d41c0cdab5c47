"""Who is told how a run goes."""

from __future__ import annotations

from edgesam_engines.train.rounds import Stats
from edgesam_engines.train.validate import Figures


class Watch:
    """Is told how a run goes; by default nobody is."""

    def step(self, done: int, figures: Stats) -> None:
        """`done` steps are done; running means of their figures."""

    def validated(self, done: int, figures: Figures) -> None:
        """The figures of `validate` after so many steps."""

    def stopped(self, done: int, number: int) -> None:
        """A signal ended the run; everything is saved."""
