"""Masks that passed the filters so far, and the choice among those that overlap."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgesam_rt.everything.suppress import suppress
from edgesam_rt.types import F32, I64

_MAX_BYTES = 64 << 20  # of logits that are held; what comes later is made again if it survives


@dataclass
class Kept:
    """What is known of every mask that passed: parallel arrays, in parts as they came.

    Attributes:
        prompt: which of all prompts asked so far.
        answer: which of its answers.
        score: what masks are ranked by.
        predicted_iou: the model's own estimate.
        box: (K, 4) px, exclusive.
    """

    prompt: list[I64] = field(default_factory=list)
    answer: list[I64] = field(default_factory=list)
    score: list[F32] = field(default_factory=list)
    predicted_iou: list[F32] = field(default_factory=list)
    box: list[F32] = field(default_factory=list)
    _logits: list[F32 | None] = field(default_factory=list)
    _bytes: int = 0

    def add(
        self, prompt: I64, answer: I64, score: F32, predicted_iou: F32, box: F32, logits: F32
    ) -> None:
        """Take in some masks; `logits` (K, h, w) are kept while there is room."""
        self.prompt.append(prompt)
        self.answer.append(answer)
        self.score.append(score)
        self.predicted_iou.append(predicted_iou)
        self.box.append(box)
        held = self._bytes + logits.nbytes <= _MAX_BYTES
        self._bytes += logits.nbytes if held else 0
        self._logits.append(logits if held else None)

    def logits_of(self, picked: I64) -> list[F32 | None]:
        """The (h, w) logits of some masks; None where there was no room."""
        sizes = [len(p) for p in self.prompt]
        part = np.repeat(np.arange(len(sizes)), sizes)
        place = np.concatenate([np.arange(n) for n in sizes]) if sizes else part
        out: list[F32 | None] = []
        for i in picked.tolist():
            held = self._logits[part[i]]
            out.append(None if held is None else held[place[i]])
        return out

    def best_apart(self, iou_threshold: float, anchors: F32) -> I64:
        """Which masks are left when those that overlap a better one are dropped, best first.

        Equal scores go by answer and place, so that the order of asking does not matter.

        Args:
            iou_threshold: boxes with a larger IoU are taken for the same object.
            anchors: (N, 2) a point of every prompt asked.
        """
        if not self.score:
            return np.zeros(0, np.int64)
        score, box = np.concatenate(self.score), np.concatenate(self.box)
        places = anchors[np.concatenate(self.prompt)]
        order = np.lexsort((*places.T, np.concatenate(self.answer), -score))
        best: I64 = order[suppress(box[order], score[order], iou_threshold)]
        return best
