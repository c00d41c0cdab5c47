"""What a run has found so far."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgesam_rt.bench import measure
from edgesam_rt.bench.cases import Key
from edgesam_rt.bench.report import Accuracy, Energy, Reading, Series


@dataclass
class Found:
    """What a run has found so far.

    Attributes:
        values: of each key, one list per round.
    """

    values: dict[Key, list[list[float]]] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    energy: Energy = field(default_factory=Energy)
    accuracy: Accuracy | None = None

    def add(self, pairs: Sequence[tuple[Key, float]]) -> None:
        """Add what one case gave in one round."""
        lists: dict[Key, list[float]] = {}
        for key, value in pairs:
            lists.setdefault(key, []).append(value)
        for key, values in lists.items():
            self.values.setdefault(key, []).append(values)

    def series(self) -> tuple[Series, ...]:
        """All figures."""
        return tuple(_series(key, rounds) for key, rounds in self.values.items())


def _series(key: Key, rounds: Sequence[Sequence[float]]) -> Series:
    figures = measure.series([v for values in rounds for v in values])
    n = int(figures.pop("n"))
    medians = tuple(round(statistics.median(values), 4) for values in rounds)
    better = "higher" if key.unit == "fps" else "lower"
    return Series(**key._asdict(), better=better, n=n, **figures, rounds=medians)  # type: ignore[arg-type]
