"""The encoders of a ladder, open before the first frame: opening one later would make it late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgesam_rt.engines import EngineSet
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Encoder

WARM_UP_HW = (48, 64)  # of a black picture; the encoder sees its own side whatever it is given


class Encoders:
    """Encoders by side. One thread opens, uses and closes them."""

    def __init__(self, engines: EngineSet) -> None:
        self._engines = engines
        self._open: dict[int, Encoder] = {}

    def open(self, sides: Sequence[int], *, warm_up: bool) -> Embedding | None:
        """Open those of these sides.

        Args:
            sides: px.
            warm_up: run each once: a first run takes three times as long.

        Returns:
            What the last of them made of a black picture, if they were run.
        """
        made: Embedding | None = None
        for side in sides:
            encoder = self._open[side] = self._engines.open_encoder(side)
            if warm_up:
                made = encoder.encode(np.zeros((*WARM_UP_HW, 3), np.uint8))
        return made

    def __getitem__(self, side: int) -> Encoder:
        """The open encoder of a side."""
        return self._open[side]

    def close(self) -> None:
        """Give all back."""
        for encoder in self._open.values():
            encoder.close()
