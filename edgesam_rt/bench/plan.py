"""How much is measured, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: how often every case takes its turn.
        warm_up: repeats of every case thrown away before the first round.
        pictures: per round; calls: per round with many prompts; frames: of the pipeline per round.
        prompts: numbers of prompts in one call.
        idle_s: how long the idle power is taken.
    """

    rounds: int
    warm_up: int
    pictures: int
    calls: int
    frames: int
    prompts: tuple[int, ...]
    idle_s: float


FULL = Size(rounds=5, warm_up=3, pictures=20, calls=4, frames=40, prompts=(16, 64), idle_s=3.0)
QUICK = Size(rounds=2, warm_up=1, pictures=4, calls=2, frames=6, prompts=(16,), idle_s=0.5)


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        board, bundle, backend: as for `edgesam_rt.open`.
        sides: encoder sides; empty for the board's.
        threads: numbers of threads; empty for the board's.
        pinned: cores to tie this process to; empty for none.
        quick: see `QUICK`.
        data: a folder with photos and annotations.json, or None.
        photos: only the first of them.
    """

    board: str = "auto"
    bundle: str | None = None
    backend: str | None = None
    sides: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    pinned: tuple[int, ...] = ()
    quick: bool = False
    data: Path | None = None
    photos: int | None = None

    @property
    def size(self) -> Size:
        """How much is measured."""
        return QUICK if self.quick else FULL
