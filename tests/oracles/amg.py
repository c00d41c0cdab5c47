"""SAM's automatic mask generator as plainly as possible: what `edgesam_rt.everything` must equal.

One point after another, one mask after another, every mask at the size of its crop before anything
is decided about it. Options, their defaults and the order of the steps are those of SAM (Kirillov
et al. 2023; `segment_anything/automatic_mask_generator.py` and `utils/amg.py`, from a description).
Three options are ours: `first_look_thresh`, `first_look_margin` and `first_look_nms_thresh`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import PromptBatch, from_points
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Made, Scored
from edgesam_rt.types import F32, I64, U8, Bool
from tests.oracles.shapes import Box, float_iou, run_lengths, suppressed, tight_box, upscaled
from tests.oracles.small_regions import without_small_regions

EDGE_PX = 20.0  # a mask that ends so near the edge of a crop was cut off by it


class Answering(Protocol):
    """What the oracle needs of a decoder; `edgesam_rt.segmenter.Decoder` is one."""

    facts: DecoderFacts

    def score(self, embedding: Embedding, batch: PromptBatch) -> Scored:
        """Score all answers."""

    def masks(
        self, embedding: Embedding, batch: PromptBatch, scored: Scored, rows: I64, answers: I64
    ) -> Made:
        """Make chosen masks."""


@dataclass(frozen=True)
class Options:
    """SAM's options and defaults.

    `first_look_thresh`: answers whose first score is not above it are dropped before anything else;
    `pred_iou_thresh` then judges the score of the mask that was made. None: no first look.
    `first_look_margin`: likewise answers whose first score is further below their point's best.
    `first_look_nms_thresh`: of two whose expected boxes overlap more, the worse-scored; 1: none.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[F32] | None = None  # per layer (P, 2) in [0, 1], instead of the grids
    min_mask_region_area: int = 0
    first_look_thresh: float | None = None
    first_look_margin: float = 1.0
    first_look_nms_thresh: float = 1.0


OptionsKind = TypeVar("OptionsKind", bound=Options)


class Found(NamedTuple):
    """One mask, in pixels of the whole picture.

    Attributes:
        runs: column by column, zeros first.
        box: left, top, right, bottom: the first and last pixel, both inclusive.
        point: x, y that it was asked with.
        crop_box: left, top, right, bottom of the crop, exclusive.
    """

    runs: I64
    box: Box
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop_box: Box

    @property
    def area(self) -> int:
        """Pixels in it."""
        return int(self.runs[1::2].sum())


class Looked(NamedTuple):
    """A mask that passed the filters, and its logits at the size of the crop."""

    found: Found
    logits: F32


def generate(
    decoder: Answering, encode: Callable[[U8], Embedding], pixels: U8, options: Options
) -> list[Found]:
    """All masks of a picture, (H, W, 3), in SAM's order."""
    image_hw = pixels.shape[0], pixels.shape[1]
    found: list[Found] = []
    for layer, crop in crops(image_hw, options):
        left, top, right, bottom = crop
        embedding = encode(pixels[top:bottom, left:right])
        points = grid(layer, options) * np.array([right - left, bottom - top])
        looked = look(decoder, embedding, points, crop, image_hw, options)
        in_crop = [one.found for one in looked]
        scores = [one.predicted_iou for one in in_crop]
        kept = suppressed([one.box for one in in_crop], scores, options.box_nms_thresh)
        found += [in_crop[i] for i in kept]
    if options.crop_n_layers > 0:  # smaller crops win
        scores = [1 / area(one.crop_box) for one in found]
        kept = suppressed([one.box for one in found], scores, options.crop_nms_thresh)
        found = [found[i] for i in kept]
    return cleaned(found, image_hw, options)


class Expected(NamedTuple):
    """An answer that was looked at: its first score, and the box that it is expected to fill."""

    score: float
    box: F32


class Part(NamedTuple):
    """Points that are asked together."""

    points: F32
    batch: PromptBatch
    scored: Scored


def look(
    decoder: Answering,
    embedding: Embedding,
    points: np.ndarray,
    crop: Box,
    image_hw: tuple[int, int],
    options: Options,
    expected: list[Expected] | None = None,
) -> Iterator[Looked]:
    """Ask with points, (P, 2) px of the crop, and filter mask by mask.

    `expected` are the answers that were looked at before; those of this call are added.
    """
    columns = np.array(decoder.facts.ambiguous_answers)
    parts = []
    for start in range(0, len(points), options.points_per_batch):
        asked = points[start : start + options.points_per_batch].astype(np.float32)
        batch = from_points(asked, embedding.fit, decoder.facts)
        parts.append(Part(asked, batch, decoder.score(embedding, batch)))
    wanted = first_look(parts, columns, options, [] if expected is None else expected)
    for i, (asked, batch, scored) in enumerate(parts):
        rows = np.repeat(np.arange(len(asked)), len(columns))
        answers = np.tile(columns, len(asked))
        made = decoder.masks(embedding, batch, scored, rows, answers)
        for row, answer, logits, iou in zip(rows, answers, *made, strict=True):
            if (i, row, answer) not in wanted:
                continue
            at_size = upscaled(logits, embedding.fit)
            one = judged(at_size, float(iou), asked[row], crop, image_hw, decoder, options)
            if one is not None:
                yield Looked(one, at_size)


def first_look(
    parts: Sequence[Part], columns: I64, options: Options, expected: list[Expected]
) -> set[tuple[int, int, int]]:
    """Part, row and answer of those that pass by their first scores and expected boxes."""
    least = -math.inf if options.first_look_thresh is None else options.first_look_thresh
    passed = []
    for i, part in enumerate(parts):
        for row, scores in enumerate(part.scored.predicted_iou):
            for answer in columns.tolist():
                near = scores[answer] >= scores[columns].max() - options.first_look_margin
                if scores[answer] > least and near:
                    x, y = part.points[row].tolist()
                    passed.append((-float(scores[answer]), answer, y, x, i, row))
    wanted = set()
    for negative, answer, _, _, i, row in sorted(passed):
        boxes = parts[i].scored.boxes
        if boxes is not None and options.first_look_nms_thresh < 1:
            one = Expected(-negative, boxes[row, answer])
            better = [other for other in expected if other.score >= one.score]
            if any(float_iou(one.box, o.box) > options.first_look_nms_thresh for o in better):
                continue
            expected.append(one)
        wanted.add((i, row, answer))
    return wanted


def judged(
    logits: F32,
    predicted_iou: float,
    point: F32,
    crop: Box,
    image_hw: tuple[int, int],
    decoder: Answering,
    options: Options,
) -> Found | None:
    """One mask, if it passes all filters."""
    cut, offset = decoder.facts.mask_threshold, options.stability_score_offset
    if not predicted_iou > options.pred_iou_thresh:
        return None
    wide = int((logits > cut - offset).sum())
    stability = int((logits > cut + offset).sum()) / wide if wide else math.nan
    if not stability >= options.stability_score_thresh:  # NaN is not
        return None
    mask = logits > cut
    left, top = crop[:2]
    x0, y0, x1, y1 = tight_box(mask)
    box = x0 + left, y0 + top, x1 + left, y1 + top
    if is_cut_off(box, crop, image_hw):
        return None
    whole: Bool = np.zeros(image_hw, np.bool_)
    whole[crop[1] : crop[3], crop[0] : crop[2]] = mask
    at = float(point[0]) + left, float(point[1]) + top
    return Found(run_lengths(whole), box, predicted_iou, stability, at, crop)


def is_cut_off(box: Box, crop: Box, image_hw: tuple[int, int]) -> bool:
    """Whether a side of the box is near that of its crop, and not near that of the picture."""
    image = 0, 0, image_hw[1], image_hw[0]
    sides = zip(box, crop, image, strict=True)
    return any(abs(b - c) <= EDGE_PX and not abs(b - i) <= EDGE_PX for b, c, i in sides)


def grid(layer: int, options: Options) -> np.ndarray:
    """(P, 2) points of a layer in [0, 1], x fastest."""
    if options.point_grids is not None:
        return np.asarray(options.point_grids[layer])
    n = int(options.points_per_side / options.crop_n_points_downscale_factor**layer)
    return np.array([((x + 0.5) / n, (y + 0.5) / n) for y in range(n) for x in range(n)])


def crops(image_hw: tuple[int, int], options: Options) -> Iterator[tuple[int, Box]]:
    """Layer and box of every crop: the whole picture, then 2 x 2, 4 x 4, … that overlap."""
    h, w = image_hw
    yield 0, (0, 0, w, h)
    for layer in range(1, options.crop_n_layers + 1):
        n = 2**layer
        overlap = int(options.crop_overlap_ratio * min(h, w) * 2 / n)
        crop_w = math.ceil((overlap * (n - 1) + w) / n)
        crop_h = math.ceil((overlap * (n - 1) + h) / n)
        for column in range(n):
            for row in range(n):
                x, y = (crop_w - overlap) * column, (crop_h - overlap) * row
                yield layer, (x, y, min(x + crop_w, w), min(y + crop_h, h))


def cleaned(found: list[Found], image_hw: tuple[int, int], options: Options) -> list[Found]:
    """Fill small holes, drop small islands, and suppress once more; unchanged masks win."""
    if not options.min_mask_region_area:
        return found
    new = [without_small_regions(f.runs, image_hw, options.min_mask_region_area) for f in found]
    boxes = [tight_box(mask) for mask, _ in new]
    scores = [0.0 if changed else 1.0 for _, changed in new]
    thresh = max(options.box_nms_thresh, options.crop_nms_thresh)
    out = []
    for i in suppressed(boxes, scores, thresh):
        mask, changed = new[i]
        one = found[i]
        out.append(one._replace(runs=run_lengths(mask), box=boxes[i]) if changed else one)
    return out


def area(box: Box) -> int:
    """Of a box, px."""
    return (box[2] - box[0]) * (box[3] - box[1])


def options_of(given: dict[str, object], kind: type[OptionsKind]) -> OptionsKind:
    """Those of some named values that are options here; the rest is not ours."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{k: v for k, v in given.items() if k in known})  # type: ignore[arg-type]
