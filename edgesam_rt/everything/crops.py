"""Crop layers: parts of the picture are asked about as if they were pictures (SAM's generator)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from edgesam_rt.everything.edited import EditedMaskSet
from edgesam_rt.everything.grid import Crop
from edgesam_rt.everything.search import KeepBox
from edgesam_rt.everything.suppress import suppress
from edgesam_rt.imaging import rle
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import MaskSet
from edgesam_rt.types import F32, I64, Bool

_NEAR_EDGE = 20.0  # px


class AskCrop(Protocol):
    """Finds all masks of one part of the picture."""

    def __call__(self, crop: Crop, keep_box: KeepBox | None) -> MaskSet:
        """Masks in the part's own pixels."""
        ...


def away_from_cut_edges(crop: Crop, image_hw: tuple[int, int]) -> Callable[[F32], Bool]:
    """Boxes in a crop's pixels to which of them end within it, and not where it was cut off.

    Source: segment_anything/utils/amg.py, is_box_near_crop_edge; boxes there are inclusive.
    """
    h, w = image_hw
    own = np.array([crop.x0, crop.y0, crop.x1, crop.y1], np.float32)
    whole = np.array([0, 0, w, h], np.float32)
    inclusive = np.array([0, 0, 1, 1], np.float32)

    def keep(boxes: F32) -> Bool:
        at = boxes - inclusive + own[[0, 1, 0, 1]]
        near_crop = np.abs(at - own) <= _NEAR_EDGE
        near_image = np.abs(at - whole) <= _NEAR_EDGE
        return np.asarray(~(near_crop & ~near_image).any(1))

    return keep


def ask_crops(crops: list[Crop], image_fit: Fit, ask: AskCrop, nms_thresh: float) -> MaskSet:
    """All masks of all crops at picture size; of two that overlap, the smaller crop's stays."""
    h, w = image_fit.image_hw
    found = [ask(c, away_from_cut_edges(c, (h, w)) if c.layer else None) for c in crops]
    shape = found[0].low_res_logits.shape[1:]
    crop_boxes = [np.array([[c.x0, c.y0, c.x1, c.y1]], np.float32) for c in crops]
    merged = EditedMaskSet(
        np.concatenate([_fitted(m.low_res_logits, shape) for m in found]),
        np.concatenate([m.predicted_iou for m in found]),
        image_fit,
        found[0].mask_threshold,
        np.concatenate([m.point_coords + b[0, :2] for m, b in zip(found, crop_boxes, strict=True)]),
        found[0].stability_offset,
        min(m.completeness for m in found),
        tuple(
            _moved(runs, c, (h, w)) for m, c in zip(found, crops, strict=True) for runs in m.runs
        ),
        np.concatenate([m.stability_score for m in found]),
        np.concatenate([np.repeat(b, len(m), 0) for m, b in zip(found, crop_boxes, strict=True)]),
    )
    areas = np.repeat([c.hw[0] * c.hw[1] for c in crops], [len(m) for m in found])
    merged = merged[suppress(merged.boxes_xyxy, 1.0 / areas, nms_thresh)]
    return merged[np.argsort(-merged.predicted_iou, kind="stable")]


def _moved(runs: I64, crop: Crop, image_hw: tuple[int, int]) -> I64:
    """Run lengths in a crop to run lengths in the picture."""
    if crop.hw == image_hw:
        return runs
    whole = np.zeros(image_hw, np.bool_)
    whole[crop.y0 : crop.y1, crop.x0 : crop.x1] = rle.from_runs(runs, crop.hw)
    return rle.run_lengths(whole)


def _fitted(logits: F32, shape: tuple[int, ...]) -> F32:
    """(K, h, w) cut or filled to a shape; crops differ from the picture by a few pixels."""
    out = np.full((len(logits), *shape), logits.min(initial=0.0), np.float32)
    h, w = (min(a, b) for a, b in zip(logits.shape[1:], shape, strict=True))
    out[:, :h, :w] = logits[:, :h, :w]
    return out
