"""Ask one embedding with many prompts: score, make what is promising, keep what passes.

The steps and their names are those of SAM's automatic mask generator (Kirillov et al. 2023). What
is saved changes nothing: scores come before masks, so that only promising masks are made; boxes and
stability are counted in pixels of the picture without making arrays of that size; masks that lose
in the suppression are never brought to picture size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgesam_rt.everything.kept import Kept
from edgesam_rt.everything.pace import Pace
from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.prompt_feeds import PromptBatch, from_boxes, from_points, low_res_hw
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.segmenter import MASK_CHUNK, Decoder, Made, Scored
from edgesam_rt.types import F32, I64, Bool

MASKS_AT_ONCE = 4 * MASK_CHUNK  # between two looks at the clock, and held while they are filtered
BOXES_AT_ONCE = 2 * MASK_CHUNK  # between two looks at the clock: all of them are made
Choose = Callable[[Scored], tuple[I64, I64]]
KeepBox = Callable[[F32], Bool]


class Asked(NamedTuple):
    """Prompts that were asked together.

    Attributes:
        batch, scored: the prompts and their scores.
        first: which of all prompts is the first of these.
        anchors: (N, 2) a point of each, px.
        weights: (N,) what predicted IoUs are multiplied with for the rank.
        once: whether answers that are expected to fill the same box are made once.
    """

    batch: PromptBatch
    scored: Scored
    first: int
    anchors: F32
    weights: F32
    once: bool


class Search:
    """All that is asked about one embedding.

    Args:
        decoder: of the bundle that made the embedding.
        embedding: of the picture.
        facts: thresholds.
        pace: when to stop.
        keep_box: (K, 4) boxes px to (K,) which of them may stay; None is all.
    """

    def __init__(
        self,
        decoder: Decoder,
        embedding: Embedding,
        facts: EverythingFacts,
        pace: Pace,
        keep_box: KeepBox | None = None,
    ) -> None:
        self.decoder, self.embedding, self.facts, self.pace = decoder, embedding, facts, pace
        self._keep_box = keep_box
        self._kept = Kept()
        self._asked: list[Asked] = []
        self._expected = np.zeros((0, 4), np.float32)  # boxes of answers that were made,
        self._first = np.zeros(0, np.float32)  # and their first scores
        self._planned = self._left = 0
        self._seen: Bool = np.zeros(low_res_hw(embedding.fit, decoder.facts), np.bool_)

    def ask_points(self, points: F32) -> None:
        """Ask with single points (N, 2) px, in their order until time is up."""
        batch = from_points(points, self.embedding.fit, self.decoder.facts)
        ones = np.ones(len(batch), np.float32)
        self._ask(batch, points, ones, self._promising, once=True)

    def ask_boxes(self, boxes_xyxy: F32, weights: F32) -> None:
        """Ask with boxes (N, 4) px, in their order until time is up; all are made.

        Args:
            boxes_xyxy: right and bottom exclusive.
            weights: (N,) what predicted IoUs are multiplied with for the rank.
        """
        batch = from_boxes(boxes_xyxy, self.embedding.fit, self.decoder.facts)
        middle = np.asarray(boxes_xyxy.reshape(-1, 2, 2).mean(1), np.float32)
        self._ask(batch, middle, weights, self._clear, once=False)

    def _promising(self, scored: Scored) -> tuple[I64, I64]:
        """Answers to single points that are worth making: (K,) rows and (K,) answers."""
        columns = np.array(self.decoder.facts.ambiguous_answers, np.int64)
        least = self.facts.first_look_thresh
        if self.decoder.facts.second_look is None:  # the first score is the last
            least = max(least, self.facts.pred_iou_thresh)
        scores = scored.predicted_iou[:, columns]
        near = scores >= scores.max(1, keepdims=True) - self.facts.first_look_margin
        rows, picked = np.nonzero((scores > least) & near)
        return rows, columns[picked]

    def _clear(self, scored: Scored) -> tuple[I64, I64]:
        """The one answer to every prompt that is not ambiguous."""
        n, facts = len(scored.predicted_iou), self.decoder.facts
        if facts.clear_answer is not None:
            return np.arange(n), np.full(n, facts.clear_answer)
        columns = np.array(facts.ambiguous_answers, np.int64)
        return np.arange(n), columns[scored.predicted_iou[:, columns].argmax(1)]

    def _ask(
        self, batch: PromptBatch, anchors: F32, weights: F32, choose: Choose, *, once: bool
    ) -> None:
        """Ask prompts, in parts where there is a clock to look at; see `Asked`."""
        self._planned += len(batch)
        size, late = self.facts.points_per_batch if once else BOXES_AT_ONCE, []
        if self.pace.deadline_ns is None and self.decoder.scores_first:
            size = max(1, len(batch))  # nothing to look up for in between, and scores are small
        for at in range(0, len(batch), size):
            some = slice(at, at + size)
            part = batch[some]
            if self._asked and not self.pace.allows("score", len(part)):
                self._left += len(batch) - at
                break
            with self.pace.spending("score", len(part)):
                scored = self.decoder.score(self.embedding, part)
            rows, answers = choose(scored)
            held = scored._replace(logits=None)
            asked = Asked(part, held, self._end(), anchors[some], weights[some], once)
            self._asked.append(asked)
            now = self._fresh(asked.anchors[rows])
            self._make(asked, scored, rows[now], answers[now])
            if not now.all():
                late.append((asked, rows[~now], answers[~now]))
        self._make_late(late)

    def _end(self) -> int:
        """How many prompts were asked."""
        return self._asked[-1].first + len(self._asked[-1].batch) if self._asked else 0

    def covers(self, points: F32, high: float) -> Bool:
        """(N,) whether the logit of a mask that passed so far is above `high` at points (N, 2)."""
        logits = self._logits(np.arange(sum(len(p) for p in self._kept.prompt)))
        sampled = Upscaled(logits, self.embedding.fit).sampled(points)
        return np.asarray((sampled > high).any(0))

    def finish(self) -> MaskSet:
        """The best of all masks that do not overlap too much, best first."""
        anchors = np.concatenate([np.zeros((0, 2), np.float32), *(a.anchors for a in self._asked)])
        picked = self._kept.best_apart(self.facts.box_nms_thresh, anchors)
        if not len(picked):
            iou, prompt = np.zeros(0, np.float32), np.zeros(0, np.int64)
        else:
            iou = np.concatenate(self._kept.predicted_iou)[picked]
            prompt = np.concatenate(self._kept.prompt)[picked]
        return MaskSet(
            self._logits(picked),
            iou,
            self.embedding.fit,
            self.decoder.facts.mask_threshold,
            anchors[prompt],
            self.facts.stability_score_offset,
            1.0 - self._left / max(1, self._planned),
        )

    def _fresh(self, points: F32) -> Bool:
        """(K,) which points lie in no mask found so far; all if nothing is gained by waiting."""
        if self.pace.deadline_ns is None or not self.decoder.scores_first:
            return np.ones(len(points), np.bool_)
        h, w = self._seen.shape
        cells = self.embedding.fit.to_unit(points) * max(h, w)
        x, y = (cells[:, i].astype(np.int64).clip(0, n - 1) for i, n in ((0, w), (1, h)))
        return np.asarray(~self._seen[y, x])

    def _make_late(self, late: list[tuple[Asked, I64, I64]]) -> None:
        """Make what lies in masks that were found already, the best-scored parts first."""

        def best(entry: tuple[Asked, I64, I64]) -> float:
            asked, rows, answers = entry
            return -float(asked.scored.predicted_iou[rows, answers].max())

        for asked, rows, answers in sorted(late, key=best):
            self._make(asked, asked.scored, rows, answers)

    def _make(self, asked: Asked, scored: Scored, rows: I64, answers: I64) -> None:
        """Make masks of one part, best-scored first, and keep those that pass."""
        first = scored.predicted_iou[rows, answers]
        order = np.lexsort((*asked.anchors[rows].T, answers, -first))
        boxes = None
        if asked.once and scored.boxes is not None:
            boxes = scored.boxes[rows, answers]
            order = order[self._not_expected(boxes[order], first[order])]
        for at in range(0, len(order), MASKS_AT_ONCE):
            now = order[at : at + MASKS_AT_ONCE]
            if not self.pace.allows("make", len(now)):
                self._left += len(np.unique(rows[order[at:]]))
                return
            with self.pace.spending("make", len(now)):
                made = self.decoder.masks(
                    self.embedding, asked.batch, scored, rows[now], answers[now]
                )
                self._filter(asked, made, rows[now], answers[now])
            if boxes is not None:
                self._expected = np.concatenate([self._expected, boxes[now]])
                self._first = np.concatenate([self._first, first[now]])

    def _not_expected(self, boxes: F32, scores: F32) -> I64:
        """Which of the answers, best first, are expected to fill no box of a better one.

        Args:
            boxes: (K, 4) that they are expected to fill.
            scores: (K,) their first scores, falling.
        """
        most = self.facts.first_look_nms_thresh
        if most >= 1:
            return np.arange(len(boxes))
        better = self._first >= scores[:, None]
        taken = (better & (mask_ops.box_iou(boxes, self._expected) > most)).any(1)
        rows = np.flatnonzero(~taken)
        return rows[mask_ops.nms(boxes[rows], -np.arange(len(rows)), most)]

    def _filter(self, asked: Asked, made: Made, rows: I64, answers: I64) -> None:
        cut, facts = self.decoder.facts.mask_threshold, self.facts
        good = np.flatnonzero(made.predicted_iou > facts.pred_iou_thresh)
        upscaled = Upscaled(made.logits[good], self.embedding.fit)
        boxes = upscaled.boxes(cut)
        passes = (boxes[:, 2:] > boxes[:, :2]).all(1)
        if facts.stability_score_thresh > 0:
            stable = upscaled.stability_scores(cut, facts.stability_score_offset)
            passes &= stable >= facts.stability_score_thresh
        if self._keep_box is not None:
            passes &= self._keep_box(boxes)
        good, boxes = good[passes], boxes[passes]
        logits, iou = made.logits[good], made.predicted_iou[good]
        score = iou * asked.weights[rows[good]]
        self._kept.add(asked.first + rows[good], answers[good], score, iou, boxes, logits)
        if self.pace.deadline_ns is not None:
            self._seen |= np.asarray((logits > cut).any(0))

    def _logits(self, picked: I64) -> F32:
        """(K, h, w) of picked masks; those that were not held are made again."""
        out = self._kept.logits_of(picked)
        again = [i for i, held in enumerate(out) if held is None]
        if again:
            prompt, answer = (
                np.concatenate(v)[picked[again]] for v in (self._kept.prompt, self._kept.answer)
            )
            part = np.searchsorted([asked.first for asked in self._asked], prompt, "right") - 1
            for one in np.unique(part).tolist():
                own = np.flatnonzero(part == one)
                batch, scored = self._asked[one].batch, self._asked[one].scored
                rows = prompt[own] - self._asked[one].first
                if scored.tokens is None:
                    scored = self.decoder.score(self.embedding, batch)
                made = self.decoder.masks(self.embedding, batch, scored, rows, answer[own])
                for i, logits in zip(own.tolist(), made.logits, strict=True):
                    out[again[i]] = logits
        shape = (0, *low_res_hw(self.embedding.fit, self.decoder.facts))
        found = [logits for logits in out if logits is not None]
        return np.stack(found) if found else np.zeros(shape, np.float32)
