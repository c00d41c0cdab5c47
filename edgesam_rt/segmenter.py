"""Encoder and Decoder: pictures to embeddings, embeddings and prompts to masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from edgesam_rt.backends import Backend, BackendOptions, open_engine
from edgesam_rt.bundle import Bundle
from edgesam_rt.clock import CLOCK, elapsed_ms
from edgesam_rt.cutting import Cut, cut_for, for_squares, no_cut
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import COVERED, DecoderFacts, Part
from edgesam_rt.preprocess import fit_for, to_square, to_tensor
from edgesam_rt.prompt_feeds import PromptBatch, from_prompts, low_res_hw
from edgesam_rt.records import FOREGROUND, Embedding, MaskSet, Prompt, check_image
from edgesam_rt.types import F32, I64, U8, AnyArray

# Prompts per engine call at most: many share what is done once per call; few bound memory (a made
# mask takes 1.5 MB of working set at side 512). Two threads do better in calls side by side than
# within one: 1,024 points are scored in 50 ms so, in 76 ms by both in each call, in 100 ms by one
# thread alone; 128 masks are made in 30, 39 and 55 ms.
SCORE_CHUNK = 128
MASK_CHUNK = 16
WORTH_A_CALL = 4  # prompts; fewer are not taken apart to keep another thread busy


@dataclass(frozen=True)
class EngineOptions:
    """How a bundle's engines are opened: by which backend, and with what of it."""

    backend: str
    backend_options: BackendOptions = field(default_factory=BackendOptions)


class Encoder:
    """The encoder of a bundle at one side. One thread opens, uses and closes it."""

    def __init__(self, bundle: Bundle, options: EngineOptions, side: int) -> None:
        sides = bundle.sides(options.backend)
        if side not in sides:
            raise ConfigError(
                f"bundle {bundle.label}: no encoder of side {side} for {options.backend}. "
                f"It has {', '.join(map(str, sides))}."
            )
        self.side = side
        self._label = bundle.label
        self._preprocess = bundle.manifest.preprocess
        self._mask_side = bundle.manifest.decoder.mask_side
        self._engine = open_engine(
            bundle, "encoder", options.backend, side, options.backend_options
        )
        self._input = next(iter(self._engine.inputs))
        entry = bundle.engine("encoder", options.backend, side)
        cut = cut_for(entry.outputs, bundle.manifest.decoder.cut_multiple)
        whole = bundle.takes_squares(options.backend, side)
        self.cut: Cut = no_cut if whole else cut
        self._cut_later: Cut = cut if whole else no_cut

    def encode(self, pixels: U8) -> Embedding:
        """Encode a picture, (H, W, 3) uint8 RGB; all prompts about it are answered from the result.

        Raises:
            ShapeError: it is not such a picture.
        """
        check_image(pixels)
        started = CLOCK.now_ns()
        fit = fit_for((pixels.shape[0], pixels.shape[1]), self.side, self._preprocess)
        fit = replace(fit, mask_side=self._mask_side)
        square = to_square(pixels, fit, self._preprocess)
        feed = to_tensor(square, fit, self._preprocess)
        fit_ms = elapsed_ms(started)
        started = CLOCK.now_ns()
        tensors = self.cut(self._engine.run({self._input: feed}), fit)
        encode_ms = elapsed_ms(started)
        return Embedding(tensors, fit, self._label, self._engine.name, fit_ms, encode_ms)

    def without_padding(self, embedding: Embedding) -> Embedding:
        """An embedding as any backend's decoder sees it: to compare it with another backend's."""
        return replace(embedding, tensors=self._cut_later(embedding.tensors, embedding.fit))

    def close(self) -> None:
        """Give the engine back."""
        self._engine.close()


class Scored(NamedTuple):
    """Scores of N prompts, and what is needed to make any of their masks."""

    predicted_iou: F32  # (N, M)
    tokens: F32 | None  # (N, M, D) where the bundle has a mask head
    logits: F32 | None  # (N, M, h, w) where the decoder makes masks at once
    boxes: F32 | None = None  # (N, M, 4) xyxy that answers are expected to fill, in encoder sides


class Made(NamedTuple):
    """K masks that were made, and what they are worth."""

    logits: F32  # (K, h, w) low resolution, unbounded
    predicted_iou: F32  # (K,) the mask head's judgement where it has one, else the first score


class Decoder:
    """The decoder of a bundle. One thread opens, uses and closes it.

    A bundle has either one `decoder` engine, or a `scorer` that gives scores and mask tokens, and a
    `mask_head` that makes a token's mask. With the pair, only masks that somebody wants are made.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions, side: int) -> None:
        self.facts: DecoderFacts = bundle.manifest.decoder
        name, how = options.backend, options.backend_options
        self._head: Backend | None = None
        self._lanes = 1
        part: Part = "decoder"
        if bundle.has("mask_head", name, side):
            part, how, self._lanes = "scorer", replace(how, in_lanes=True), how.threads
            self._head = open_engine(bundle, "mask_head", name, side, how)
        self._engine = open_engine(bundle, part, name, side, how)

    @property
    def scores_first(self) -> bool:
        """Whether masks are scored before they are made."""
        return self._head is not None

    def score(self, embedding: Embedding, batch: PromptBatch) -> Scored:
        """Score all M answers of every prompt of a batch."""
        most = self.facts.prompts_per_call or SCORE_CHUNK
        outputs = self._engine.run_many(
            [
                self._feeds(self._engine, embedding, batch[at])
                for at in shares(len(batch), most, self._lanes)
            ]
        )

        def joined(name: str) -> F32 | None:
            if name not in self._engine.outputs:
                return None
            return _joined([out[name] for out in outputs])

        return Scored(
            _joined([out["iou_predictions"] for out in outputs]),
            joined("mask_tokens"),
            joined("low_res_masks"),
            joined("expected_boxes"),
        )

    def masks(
        self, embedding: Embedding, batch: PromptBatch, scored: Scored, rows: I64, answers: I64
    ) -> Made:
        """Make chosen masks.

        Args:
            embedding: what the batch was scored on.
            batch: the prompts.
            scored: their scores.
            rows: (K,) which prompt.
            answers: (K,) which of its answers, 0 to M - 1.
        """
        first = scored.predicted_iou[rows, answers]
        if scored.logits is not None:
            return Made(scored.logits[rows, answers], first)
        assert self._head is not None
        assert scored.tokens is not None
        tokens, asked = scored.tokens[rows, answers], batch[rows]
        made = self._head.run_many(
            [
                self._feeds(self._head, embedding, asked[at], mask_tokens=tokens[at])
                for at in shares(len(rows), MASK_CHUNK, self._lanes)
            ]
        )
        h, w = low_res_hw(embedding.fit, self.facts)
        logits = _joined([out["low_res_masks"] for out in made])[:, 0, :h, :w]
        if "iou_predictions" not in self._head.outputs:
            return Made(logits, first)
        return Made(logits, _joined([out["iou_predictions"] for out in made])[:, 0])

    def candidates(self, scored: Scored, batch: PromptBatch) -> tuple[I64, I64]:
        """Which answers to make for which prompt, (K,) rows and (K,) answers, by rising row.

        One per prompt: to an ambiguous one the best-scored; and with it, where the mask head takes
        a second look, those that are nearly as good.
        """
        if self.facts.clear_answer is None:
            ambiguous = np.ones_like(batch.ambiguous)
        else:
            ambiguous = batch.ambiguous
        choices = np.array(self.facts.ambiguous_answers)
        scores = scored.predicted_iou[:, choices]
        near = scores >= scores.max(1, keepdims=True) - (self.facts.second_look or 0.0)
        if self.facts.second_look is None:  # one of them, even if two score the same
            near = np.arange(len(choices)) == scores.argmax(1)[:, None]
        wanted = np.zeros(scored.predicted_iou.shape, np.bool_)
        wanted[:, choices] = near & ambiguous[:, None]
        wanted[~ambiguous, self.facts.clear_answer or 0] = True
        rows, answers = np.nonzero(wanted)
        return rows, answers

    def predict(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask_output: bool = False
    ) -> MaskSet:
        """Answer prompts about one picture.

        Args:
            embedding: of the picture.
            prompts: any number; all are decoded together.
            multimask_output: give all M answers of each prompt, not only the best one.

        Returns:
            One mask per prompt in their order; with `multimask_output` M masks per prompt, those of
            the first prompt first.

        Raises:
            PromptError: a prompt means nothing on this picture.
        """
        batch = from_prompts(prompts, embedding.fit, self.facts)
        if not prompts:
            return self.nothing(embedding)
        scored = self.score(embedding, batch)
        n, m = scored.predicted_iou.shape
        if multimask_output:
            rows, answers = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
        else:
            rows, answers = self.candidates(scored, batch)
        made = self.masks(embedding, batch, scored, rows, answers)
        if len(rows) > n and not multimask_output:
            best = _best_of_each(rows, made.predicted_iou)
            rows, made = rows[best], Made(made.logits[best], made.predicted_iou[best])
        return MaskSet(
            made.logits,
            made.predicted_iou,
            embedding.fit,
            self.facts.mask_threshold,
            np.stack([anchor(p) for p in prompts])[rows],
        )

    def _feeds(
        self, engine: Backend, embedding: Embedding, batch: PromptBatch, **more: AnyArray
    ) -> dict[str, AnyArray]:
        given = {
            "point_coords": batch.point_coords,
            "point_labels": batch.point_labels,
            "mask_input": batch.mask_input,
            "has_mask_input": batch.has_mask_input,
            **more,
        }
        if COVERED in engine.inputs:
            given |= for_squares(batch.mask_input, embedding.fit, self.facts)
        return {n: given[n] if n in given else embedding.tensors[n] for n in engine.inputs}

    def nothing(self, embedding: Embedding) -> MaskSet:
        """An empty answer about a picture."""
        shape = (0, *low_res_hw(embedding.fit, self.facts))
        scores = np.zeros(0, np.float32)
        return MaskSet(
            np.zeros(shape, np.float32), scores, embedding.fit, self.facts.mask_threshold
        )

    def close(self) -> None:
        """Give the engines back."""
        self._engine.close()
        if self._head is not None:
            self._head.close()


def anchor(prompt: Prompt) -> F32:
    """(2,) one point that stands for a prompt, px: its first foreground point or its middle."""
    labels = prompt.point_labels.tolist()
    if FOREGROUND in labels:
        first: F32 = prompt.point_coords[labels.index(FOREGROUND)]
        return first
    if len(prompt.point_coords):
        return np.asarray(prompt.point_coords.mean(0), np.float32)
    return np.zeros(2, np.float32)


def _best_of_each(rows: I64, scores: F32) -> I64:
    """Position of the best score of every row, (N,); rows (K,) rise and each occurs."""
    order = np.lexsort((-scores, rows))
    _, firsts = np.unique(rows[order], return_index=True)
    best: I64 = order[firsts]
    return best


def _joined(parts: Sequence[F32]) -> F32:
    """One array of all rows; the only part itself, not a copy."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def shares(n: int, most: int, lanes: int) -> Iterator[slice]:
    """Slices of n things, nearly the same length: at most `most`, and some for every lane."""
    runs = -(-n // most)
    if n >= lanes * WORTH_A_CALL:
        runs = -(-runs // lanes) * lanes
    size = max(1, -(-n // max(1, runs)))
    return (slice(at, at + size) for at in range(0, n, size))
