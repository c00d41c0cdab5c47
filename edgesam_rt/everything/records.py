"""Masks as SAM's automatic mask generator gives them: a list of records, plain dicts."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from edgesam_rt.errors import ConfigError, ShapeError, unknown_name
from edgesam_rt.everything.edited import EditedMaskSet
from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet
from edgesam_rt.types import AnyArray

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]
OUTPUT_MODES: tuple[str, ...] = get_args(OutputMode)

Record = dict[str, Any]


def to_records(
    found: MaskSet,
    output_mode: OutputMode = "binary_mask",
    *,
    crop_boxes_xyxy: AnyArray | None = None,
) -> list[Record]:
    """Return masks as SAM's records, in their order.

    Every record has:
        segmentation: "binary_mask": (H, W) bool; "uncompressed_rle": {"size": [H, W], "counts":
            [ints]}; "coco_rle": {"size": [H, W], "counts": "text"}.
        area: pixels.
        bbox: [x, y, w, h] as SAM gives it: w and h are last pixel less first pixel, so one less
            than the true size (0 for a single pixel). `MaskSet.boxes_xyxy` are exclusive:
            [x, y, x + w + 1, y + h + 1]. An empty mask has four zeros.
        predicted_iou, stability_score: floats; without `stability_score` where it is unknown.
        point_coords: [[x, y]], px; without it where it is unknown.
        crop_box: [x, y, w, h] of the crop in which it was found; here w and h are the true size.

    Args:
        found: any masks; all of them are brought to the picture's size.
        output_mode: how masks are written. (K, H, W) bool are K * H * W bytes; run lengths are few.
        crop_boxes_xyxy: (K, 4) px, right and bottom exclusive; None: as the masks were found.

    Raises:
        ConfigError: an unknown output mode.
        ShapeError: not as many crop boxes as masks.
    """
    if output_mode not in OUTPUT_MODES:
        raise ConfigError(unknown_name("output_mode", output_mode, OUTPUT_MODES))
    if crop_boxes_xyxy is None and isinstance(found, EditedMaskSet):
        crop_boxes_xyxy = found.crop_boxes
    crops = _crops(found, crop_boxes_xyxy)
    segmentations = _segmentations(found, output_mode)
    out: list[Record] = []
    for i, segmentation in enumerate(segmentations):
        record: Record = {
            "segmentation": segmentation,
            "area": int(found.areas[i]),
            "bbox": inclusive_xywh(found.boxes_xyxy[i]),
            "predicted_iou": float(found.predicted_iou[i]),
        }
        if len(found.point_coords):
            record["point_coords"] = [[float(v) for v in found.point_coords[i]]]
        if len(found.stability_score):
            record["stability_score"] = float(found.stability_score[i])
        left, top, right, bottom = crops[i].tolist()
        record["crop_box"] = [left, top, right - left, bottom - top]
        out.append(record)
    return out


def inclusive_xywh(box_xyxy: AnyArray) -> list[int]:
    """SAM's bbox of one of our boxes: width and height from the first to the last pixel."""
    left, top, right, bottom = (int(v) for v in box_xyxy)
    return [left, top, max(right - left - 1, 0), max(bottom - top - 1, 0)]


def _segmentations(found: MaskSet, output_mode: str) -> list[Any]:
    if output_mode == "coco_rle":
        return list(found.rle())
    size = list(found.image_hw)
    if output_mode == "uncompressed_rle":
        return [{"size": size, "counts": runs.tolist()} for runs in found.runs]
    return [rle.from_runs(runs, found.image_hw) for runs in found.runs]


def _crops(found: MaskSet, crop_boxes_xyxy: AnyArray | None) -> AnyArray:
    h, w = found.image_hw
    if crop_boxes_xyxy is None:
        return np.tile(np.array([0, 0, w, h]), (len(found), 1))
    given = np.asarray(crop_boxes_xyxy)
    if given.shape != (len(found), 4):
        raise ShapeError(f"crop boxes: expected ({len(found)}, 4), got {given.shape}.")
    return given.astype(np.int64)
