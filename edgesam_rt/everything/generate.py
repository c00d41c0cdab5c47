"""All masks of a picture: ask with many points, keep what is good, drop what stands twice.

The steps and their names are those of SAM's automatic mask generator (Kirillov et al. 2023). Two
savings that change nothing: scores come before masks, so that only promising masks are made; and
masks that lose in NMS are never brought to picture size.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from edgesam_rt.config import convert
from edgesam_rt.everything import grid
from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.prompt_feeds import PromptBatch, from_points
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.segmenter import Decoder, Made, Scored
from edgesam_rt.types import F32, I64, Bool

MASKS_AT_ONCE = 64  # low-resolution masks held while they are filtered: 64 KiB each at side 512


def with_options(facts: EverythingFacts, options: dict[str, float]) -> EverythingFacts:
    """The bundle's thresholds, some of them replaced by a caller's.

    Raises:
        ConfigError: an option that does not exist, or a value out of range.
    """
    return convert({**msgspec.structs.asdict(facts), **options}, EverythingFacts, "everything mode")


def generate(decoder: Decoder, embedding: Embedding, facts: EverythingFacts) -> MaskSet:
    """Find all masks of a picture by a grid of points.

    Args:
        decoder: of the bundle that made the embedding.
        embedding: of the picture.
        facts: points per side and thresholds.

    Returns:
        Masks by falling predicted IoU; possibly none.
    """
    points = grid.points(facts.points_per_side, embedding.image_hw)
    batch = from_points(points, embedding.fit, decoder.facts)
    scored = decoder.score(embedding, batch)
    rows, answers = _promising(
        scored,
        decoder.facts.ambiguous_answers,
        facts.pred_iou_thresh - (decoder.facts.second_look or 0.0),
    )
    threshold = decoder.facts.mask_threshold

    boxes, nothing = [np.zeros((0, 4), np.float32)], np.zeros(0, np.float32)
    stabilities, ious = [nothing], [nothing]
    for made in _made(decoder, embedding, batch, scored, rows, answers):
        seen = inside_picture(made.logits, embedding.fit)
        boxes.append(low_res_boxes(seen, threshold))
        stabilities.append(mask_ops.stability_scores(seen, threshold, facts.stability_score_offset))
        ious.append(made.predicted_iou)
    all_boxes, all_stability = np.concatenate(boxes), np.concatenate(stabilities)
    iou = np.concatenate(ious)
    has_area = (all_boxes[:, 2:] > all_boxes[:, :2]).all(1)
    good = (iou > facts.pred_iou_thresh) & (all_stability >= facts.stability_score_thresh)
    stable = np.flatnonzero(good & has_area)
    kept = stable[mask_ops.nms(all_boxes[stable], iou[stable], facts.box_nms_thresh)]
    if not len(kept):
        return decoder.nothing(embedding)
    again = [m.logits for m in _made(decoder, embedding, batch, scored, rows[kept], answers[kept])]
    return MaskSet(
        np.concatenate(again),
        iou[kept],
        embedding.fit,
        threshold,
        points[rows[kept]],
        all_stability[kept],
    )


def inside_picture(logits: F32, fit: Fit) -> F32:
    """The part of (K, h, w) low-resolution logits that lies on the picture, at least one cell."""
    stride = fit.side / logits.shape[-1]
    rows, columns = (max(1, int(np.ceil(n / stride))) for n in fit.scaled_hw)
    return logits[:, :rows, :columns]


def low_res_boxes(logits: F32, threshold: float) -> F32:
    """(K, 4) boxes of masks in low-resolution cells, right and bottom exclusive; zeros if empty."""
    inside = logits > threshold
    out = np.zeros((len(logits), 4), np.float32)
    for axis, (low, high) in ((2, (1, 3)), (1, (0, 2))):
        line: Bool = np.any(inside, axis=axis)
        some = line.any(1)
        out[:, low] = np.where(some, line.argmax(1), 0)
        out[:, high] = np.where(some, line.shape[1] - line[:, ::-1].argmax(1), 0)
    return out


def _promising(scored: Scored, answers: tuple[int, ...], thresh: float) -> tuple[I64, I64]:
    columns = np.array(answers, np.int64)
    rows, picked = np.nonzero(scored.predicted_iou[:, columns] > thresh)
    return rows, columns[picked]


def _made(
    decoder: Decoder,
    embedding: Embedding,
    batch: PromptBatch,
    scored: Scored,
    rows: I64,
    answers: I64,
) -> Iterator[Made]:
    for at in range(0, len(rows), MASKS_AT_ONCE):
        part = slice(at, at + MASKS_AT_ONCE)
        yield decoder.masks(embedding, batch, scored, rows[part], answers[part])
