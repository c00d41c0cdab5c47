"""A decoder whose answers are written by hand, so that the oracles can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import PromptBatch
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Made, Scored
from edgesam_rt.types import F32, I64, U8

SIDE = 64  # of the encoder, px; one low-resolution cell is one pixel of a picture of this side
FACTS = DecoderFacts(
    masks=2,
    clear_answer=0,
    ambiguous_answers=(1,),
    points_per_prompt=1,
    coordinates="unit",
    mask_stride=1,
    score_kind="predicted_iou",
    mask_input_broadcasts=True,
)


class Answer(NamedTuple):
    """What the decoder says to a point."""

    logits: F32  # (SIDE, SIDE)
    score: float
    first: float | None = None  # another score before the mask was made


Rule = Callable[[float, float], Answer]


def encode(pixels: U8) -> Embedding:
    """The picture itself is the embedding."""
    fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), SIDE)
    return Embedding({"pixels": pixels}, fit, "made up", "hand")


def patch(box: Sequence[int], inside: float = 9.0, outside: float = -9.0) -> F32:
    """(SIDE, SIDE) logits of a box: left, top, right, bottom, exclusive."""
    logits = np.full((SIDE, SIDE), outside, np.float32)
    logits[box[1] : box[3], box[0] : box[2]] = inside
    return logits


class MadeUp:
    """Answers every point by a rule; `asked` remembers the points of every batch, px."""

    def __init__(self, rule: Rule) -> None:
        """Take the rule: x, y in px of what was encoded to an answer."""
        self.facts = FACTS
        self.asked: list[F32] = []
        self._rule = rule

    def score(self, embedding: Embedding, batch: PromptBatch) -> Scored:
        """Ask the rule; answer 0 is never to be used."""
        at = embedding.fit.from_unit(batch.point_coords[:, 0])
        self.asked.append(at)
        answers = [self._rule(float(x), float(y)) for x, y in at]
        firsts = [a.score if a.first is None else a.first for a in answers]
        seconds = np.array([a.score for a in answers], np.float32)
        scores = np.stack([np.full(len(at), 99.0), firsts], 1).astype(np.float32)
        logits = np.stack([[patch((0, 0, SIDE, SIDE)), a.logits] for a in answers])
        return Scored(scores, np.repeat(seconds[:, None, None], 2, 1), logits)

    def masks(
        self, embedding: Embedding, batch: PromptBatch, scored: Scored, rows: I64, answers: I64
    ) -> Made:
        """Give the logits and the second scores."""
        assert scored.logits is not None
        assert scored.tokens is not None
        return Made(scored.logits[rows, answers], scored.tokens[rows, answers, 0])
