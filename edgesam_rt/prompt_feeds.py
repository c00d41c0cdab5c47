"""Prompts to the four prompt tensors that every decoder takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesam_rt.errors import PromptError, ShapeError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.records import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PADDING,
    Prompt,
)
from edgesam_rt.types import F32, I64, Bool


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """N prompts as arrays, in the decoder's own coordinates.

    Attributes:
        point_coords: (N, P, 2) float32.
        point_labels: (N, P) float32; -1 is padding, or the decoder's own filler.
        mask_input: (N or 1, 1, h, w) float32 logits.
        has_mask_input: (N, 1) float32, 1.0 where `mask_input` counts.
        ambiguous: (N,) bool: a single foreground point and nothing else.
    """

    point_coords: F32
    point_labels: F32
    mask_input: F32
    has_mask_input: F32
    ambiguous: Bool

    def __len__(self) -> int:
        """N."""
        return len(self.point_coords)

    def __getitem__(self, index: slice | I64) -> PromptBatch:
        """Some of the prompts."""
        shared = len(self.mask_input) != len(self)
        return PromptBatch(
            self.point_coords[index],
            self.point_labels[index],
            self.mask_input if shared else self.mask_input[index],
            self.has_mask_input[index],
            self.ambiguous[index],
        )


def low_res_hw(fit: Fit, facts: DecoderFacts) -> tuple[int, int]:
    """Height and width of the low-resolution masks of a picture."""
    h, w = fit.covered(facts.cut_multiple) if facts.cut_multiple else (fit.side, fit.side)
    return h // facts.mask_stride, w // facts.mask_stride


def from_prompts(prompts: Sequence[Prompt], fit: Fit, facts: DecoderFacts) -> PromptBatch:
    """Pack prompts in image pixels: in a row first points, then the box, then padding.

    Where a decoder takes a padding point for a token of its own, rows are filled up with another
    label, so that a prompt's answer does not depend on those beside it.

    Raises:
        PromptError: a prompt means nothing on this picture, or has more points than the decoder
            takes.
        ShapeError: a mask input is of another size than this encoder's low-resolution masks.
    """
    asked = placed(prompts, fit.image_hw, facts)
    longest = max((len(p.point_labels) + _padded(p, facts) for p in asked), default=1)
    most = max((len(p.point_labels) for p in asked), default=0)
    if most > facts.points_per_prompt:
        raise PromptError(
            f"prompt: {most} points and box corners on one object; this model takes "
            f"{facts.points_per_prompt}. Keep the last ones and pass the earlier answer's "
            "low_res_logits as mask_input (Prompt.with_mask)."
        )
    longest = max(1, longest)
    coords = np.zeros((len(asked), longest, 2), np.float32)
    labels = np.full((len(asked), longest), facts.filler_label, np.float32)
    for row, prompt in enumerate(asked):
        n = len(prompt.point_labels)
        order = np.argsort(prompt.point_labels >= BOX_TOP_LEFT, kind="stable")
        coords[row, :n] = prompt.point_coords[order]
        labels[row, :n] = prompt.point_labels[order]
        labels[row, n : n + _padded(prompt, facts)] = PADDING
    coords = to_decoder_frame(coords, fit, facts)
    mask_input, has_mask = _mask_inputs(asked, low_res_hw(fit, facts), facts)
    ambiguous = np.array([p.is_ambiguous for p in asked], np.bool_)
    return PromptBatch(coords, labels, mask_input, has_mask, ambiguous)


def _padded(prompt: Prompt, facts: DecoderFacts) -> int:
    """How many padding points a prompt gets: SAM wants one behind points without a box."""
    return int(facts.padding_point and len(prompt.point_labels) > 0 and not prompt.has_box)


def placed(
    prompts: Sequence[Prompt], image_hw: tuple[int, int], facts: DecoderFacts
) -> list[Prompt]:
    """Prompts as they apply to a picture: boxes are clipped to it.

    Raises:
        PromptError: one means nothing there, or to this decoder.
    """
    return [_placed(p, i, image_hw, facts) for i, p in enumerate(prompts)]


def _placed(prompt: Prompt, index: int, image_hw: tuple[int, int], facts: DecoderFacts) -> Prompt:
    try:
        _check_known(prompt, facts)
        return prompt.on_image(image_hw)
    except PromptError as error:
        raise PromptError(f"object {index + 1}: {error}") from error


def _check_known(prompt: Prompt, facts: DecoderFacts) -> None:
    """Refuse what would be taken, and mean nothing."""
    if not facts.background_points and np.any(prompt.point_labels == BACKGROUND):
        raise PromptError(
            "a background point (label 0), which this model never learned. Give a box, or more "
            "foreground points."
        )
    if not facts.earlier_masks and prompt.mask_input is not None:
        raise PromptError(
            "an earlier mask, which this model does not look at. Give a box or points alone."
        )


def from_points(points: F32, fit: Fit, facts: DecoderFacts) -> PromptBatch:
    """One foreground point per prompt, (N, 2) image pixels; for everything mode."""
    n = len(points)
    width = 2 if facts.padding_point else 1
    coords = np.zeros((n, width, 2), np.float32)
    labels = np.full((n, width), PADDING, np.float32)
    coords[:, 0] = to_decoder_frame(points, fit, facts)
    labels[:, 0] = FOREGROUND
    mask_input, has_mask = _mask_inputs([None] * n, low_res_hw(fit, facts), facts)
    return PromptBatch(coords, labels, mask_input, has_mask, np.ones(n, np.bool_))


def from_boxes(boxes_xyxy: F32, fit: Fit, facts: DecoderFacts) -> PromptBatch:
    """One box per prompt, (N, 4) image pixels; for everything mode."""
    n = len(boxes_xyxy)
    coords = to_decoder_frame(boxes_xyxy.reshape(n, 2, 2), fit, facts)
    labels = np.tile(np.array([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], np.float32), (n, 1))
    mask_input, has_mask = _mask_inputs([None] * n, low_res_hw(fit, facts), facts)
    return PromptBatch(coords, labels, mask_input, has_mask, np.zeros(n, np.bool_))


def to_decoder_frame(xy: F32, fit: Fit, facts: DecoderFacts) -> F32:
    """Image pixels (..., 2) to the coordinates the decoder takes."""
    if facts.coordinates == "unit":
        return fit.to_unit(xy)
    unit = fit.in_frame(facts.prompt_side).to_unit(xy)
    return np.asarray(unit * np.float32(facts.prompt_side), np.float32)


def _mask_inputs(
    prompts: Sequence[Prompt | None], hw: tuple[int, int], facts: DecoderFacts
) -> tuple[F32, F32]:
    given = [p.mask_input if p is not None else None for p in prompts]
    has_mask = np.array([[float(m is not None)] for m in given], np.float32).reshape(-1, 1)
    shared = facts.mask_input_broadcasts and not has_mask.any()
    masks = np.zeros((1 if shared else len(prompts), 1, *hw), np.float32)
    for row, mask in enumerate(given):
        if mask is None:
            continue
        if mask.shape != hw:
            raise ShapeError(
                f"mask_input: expected {hw} low-resolution logits, got {mask.shape}. They must "
                "come from an answer about a picture of this shape, with the same encoder side."
            )
        masks[row, 0] = mask
    return masks, has_mask
