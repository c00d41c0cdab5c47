"""Ask one embedding with many prompts: score, make what is promising, keep what passes.

The steps and their names are those of SAM's automatic mask generator (Kirillov et al. 2023). What
is saved changes nothing: scores come before masks, so that only promising masks are made; boxes and
stability are counted in pixels of the picture without making arrays of that size; masks that lose
in the suppression are never brought to picture size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgesam_rt.everything.kept import Kept
from edgesam_rt.everything.pace import Pace
from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.prompt_feeds import PromptBatch, low_res_hw
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.segmenter import MASK_CHUNK, Decoder, Made, Scored
from edgesam_rt.types import F32, I64, Bool

MASKS_AT_ONCE = 4 * MASK_CHUNK  # between two looks at the clock, and held while they are filtered
Choose = Callable[[Scored], tuple[I64, I64]]
KeepBox = Callable[[F32], Bool]


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
        self._asked: list[tuple[PromptBatch, Scored]] = []  # in parts, in the order of asking
        self._anchors = [np.zeros((0, 2), np.float32)]
        self._weights = [np.zeros(0, np.float32)]
        self._planned = self._left = 0
        self._seen: Bool = np.zeros(low_res_hw(embedding.fit, decoder.facts), np.bool_)

    def points_answers(self, scored: Scored) -> tuple[I64, I64]:
        """Answers to single points that are worth making: (K,) rows and (K,) answers."""
        columns = np.array(self.decoder.facts.ambiguous_answers, np.int64)
        least = self.facts.first_look_thresh
        if self.decoder.facts.second_look is None:  # the first score is the last
            least = max(least, self.facts.pred_iou_thresh)
        scores = scored.predicted_iou[:, columns]
        near = scores >= scores.max(1, keepdims=True) - self.facts.first_look_margin
        rows, picked = np.nonzero((scores > least) & near)
        return rows, columns[picked]

    def clear_answers(self, scored: Scored) -> tuple[I64, I64]:
        """The one answer to every prompt that is not ambiguous."""
        n = len(scored.predicted_iou)
        return np.arange(n), np.full(n, self.decoder.facts.clear_answer)

    def ask(
        self, batch: PromptBatch, anchors: F32, choose: Choose, weights: F32 | None = None
    ) -> None:
        """Ask prompts, in their order until time is up.

        Args:
            batch: N prompts.
            anchors: (N, 2) a point of each, px.
            choose: which answers to make.
            weights: (N,) what predicted IoUs are multiplied with for the rank; None is 1.
        """
        self._planned += len(batch)
        size, late = self.facts.points_per_batch, []
        if self.pace.deadline_ns is None and self.decoder.scores_first:
            size = max(1, len(batch))  # nothing to look up for in between, and scores are small
        for at in range(0, len(batch), size):
            part = batch[at : at + size]
            if self._asked and not self.pace.allows("score", len(part)):
                self._left += len(batch) - at
                break
            with self.pace.spending("score", len(part)):
                scored = self.decoder.score(self.embedding, part)
            rows, answers = choose(scored)
            where = anchors[at : at + size]
            self._anchors.append(where)
            self._weights.append(
                np.ones(len(part), np.float32) if weights is None else weights[at : at + size]
            )
            self._asked.append((part, scored._replace(logits=None)))
            now = self._fresh(where[rows])
            self._make(len(self._asked) - 1, scored, rows[now], answers[now])
            if not now.all():
                late.append((len(self._asked) - 1, rows[~now], answers[~now]))
        self._make_late(late)

    def covers(self, points: F32, high: float) -> Bool:
        """(N,) whether the logit of a mask that passed so far is above `high` at points (N, 2)."""
        logits = self._logits(np.arange(sum(len(p) for p in self._kept.prompt)))
        sampled = Upscaled(logits, self.embedding.fit).sampled(points)
        return np.asarray((sampled > high).any(0))

    def finish(self) -> MaskSet:
        """The best of all masks that do not overlap too much, best first."""
        anchors = np.concatenate(self._anchors)
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

    def _make_late(self, late: list[tuple[int, I64, I64]]) -> None:
        """Make what lies in masks that were found already, the best-scored batches first."""

        def best(entry: tuple[int, I64, I64]) -> float:
            part, rows, answers = entry
            return -float(self._asked[part][1].predicted_iou[rows, answers].max())

        for part, rows, answers in sorted(late, key=best):
            self._make(part, self._asked[part][1], rows, answers)

    def _make(self, part: int, scored: Scored, rows: I64, answers: I64) -> None:
        """Make masks of one batch, best-scored first, and keep those that pass."""
        order = np.argsort(-scored.predicted_iou[rows, answers], kind="stable")
        for at in range(0, len(rows), MASKS_AT_ONCE):
            now = order[at : at + MASKS_AT_ONCE]
            if not self.pace.allows("make", len(now)):
                self._left += len(np.unique(rows[order[at:]]))
                return
            with self.pace.spending("make", len(now)):
                batch = self._asked[part][0]
                made = self.decoder.masks(self.embedding, batch, scored, rows[now], answers[now])
                self._filter(part, made, rows[now], answers[now])

    def _filter(self, part: int, made: Made, rows: I64, answers: I64) -> None:
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
        first = sum(len(batch) for batch, _ in self._asked[:part])
        score = iou * self._weights[part + 1][rows[good]]
        self._kept.add(first + rows[good], answers[good], score, iou, boxes, logits)
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
            ends = np.cumsum([len(batch) for batch, _ in self._asked])
            part = np.searchsorted(ends, prompt, "right")
            for one in np.unique(part).tolist():
                own = np.flatnonzero(part == one)
                batch, scored = self._asked[one]
                rows = prompt[own] - (ends[one] - len(batch))
                if scored.tokens is None:
                    scored = self.decoder.score(self.embedding, batch)
                made = self.decoder.masks(self.embedding, batch, scored, rows, answer[own])
                for i, logits in zip(own.tolist(), made.logits, strict=True):
                    out[again[i]] = logits
        shape = (0, *low_res_hw(self.embedding.fit, self.decoder.facts))
        found = [logits for logits in out if logits is not None]
        return np.stack(found) if found else np.zeros(shape, np.float32)
