from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from edgesam_rt.errors import ConfigError, ShapeError
from edgesam_rt.everything.records import OUTPUT_MODES, Record, inclusive_xywh, to_records
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import MaskSet
from edgesam_rt.types import Bool
from tests.result_doubles import make_masks

HW = (120, 160)
BOXES = ((20, 30, 90, 100), (100, 20, 140, 60), (0, 0, 160, 120), (500, 500, 600, 600))


@pytest.fixture
def found() -> MaskSet:
    made = make_masks(BOXES, HW)
    points = np.array([[50, 60], [120, 40], [80, 60], [1, 1]], np.float32)
    return MaskSet(
        made.low_res_logits,
        made.predicted_iou,
        made.fit,
        point_coords=points,
        stability_offset=1.0,
    )


def mask_in(record: Record, mode: str) -> Bool:
    """Read a segmentation as a user of pycocotools would."""
    given = record["segmentation"]
    if mode == "binary_mask":
        return np.asarray(given)
    packed = coco.frPyObjects(given, *HW) if mode == "uncompressed_rle" else given
    return np.asarray(coco.decode(packed), np.bool_)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools with numpy 2
@pytest.mark.parametrize("mode", OUTPUT_MODES)
def test_every_mode_holds_the_mask(found: MaskSet, mode: str) -> None:
    records = to_records(found, mode)  # type: ignore[arg-type]
    assert len(records) == 4
    for record, mask in zip(records, found.masks, strict=True):
        assert (mask_in(record, mode) == mask).all()
        assert record["area"] == mask.sum()


def test_run_lengths_agree_with_pycocotools(found: MaskSet) -> None:
    for record, mask in zip(to_records(found, "coco_rle"), found.masks, strict=True):
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert record["segmentation"]["counts"] == theirs["counts"].decode()
        assert record["segmentation"]["size"] == theirs["size"]
        assert coco.area(record["segmentation"]) == record["area"]


def test_records_have_sams_keys_and_plain_values(found: MaskSet) -> None:
    first = to_records(found, "uncompressed_rle")[0]
    assert list(first) == [
        "segmentation",
        "area",
        "bbox",
        "predicted_iou",
        "point_coords",
        "stability_score",
        "crop_box",
    ]
    assert json.loads(json.dumps(first)) == first
    assert first["point_coords"] == [[50.0, 60.0]]
    assert first["crop_box"] == [0, 0, 160, 120]
    assert first["stability_score"] == pytest.approx(float(found.stability_score[0]))
    assert 0 < first["stability_score"] < 1


def test_a_bbox_is_one_short_of_the_true_size_as_in_sam(found: MaskSet) -> None:
    for record, mask in zip(to_records(found)[:3], found.masks, strict=False):
        ys, xs = np.nonzero(mask)
        x, y, w, h = record["bbox"]
        assert (x, y) == (xs.min(), ys.min())
        assert (w, h) == (xs.max() - xs.min(), ys.max() - ys.min())
    for record, box in zip(to_records(found)[:3], found.boxes_xyxy, strict=False):
        x, y, w, h = record["bbox"]
        assert box.tolist() == [x, y, x + w + 1, y + h + 1]


def test_an_empty_mask_and_a_single_pixel_have_no_width(found: MaskSet) -> None:
    assert to_records(found)[3]["bbox"] == [0, 0, 0, 0]
    assert to_records(found)[3]["area"] == 0
    assert inclusive_xywh(np.array([7.0, 8.0, 8.0, 9.0])) == [7, 8, 0, 0]


def test_a_crop_box_has_its_true_size(found: MaskSet) -> None:
    crops = np.array([[0, 0, 160, 120], [80, 0, 160, 60], [0, 60, 80, 120], [0, 0, 80, 60]])
    boxes = [r["crop_box"] for r in to_records(found, crop_boxes_xyxy=crops)]
    assert boxes[1:] == [[80, 0, 80, 60], [0, 60, 80, 60], [0, 0, 80, 60]]
    with pytest.raises(ShapeError, match=r"crop boxes: expected \(4, 4\), got \(3, 4\)"):
        to_records(found, crop_boxes_xyxy=crops[:3])


def test_what_is_unknown_is_left_out() -> None:
    record = to_records(make_masks(BOXES[:1], HW))[0]
    assert "point_coords" not in record
    assert "stability_score" not in record


def test_no_masks_are_no_records() -> None:
    none = np.zeros((0, 8, 8), np.float32)
    empty = MaskSet(none, none[:, 0, 0], Fit.longest_side(HW, 256))
    for mode in OUTPUT_MODES:
        assert to_records(empty, mode) == []  # type: ignore[arg-type]


def test_an_unknown_mode_is_answered_with_the_nearest(found: MaskSet) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'coco_rle'"):
        to_records(found, "cocorle")  # type: ignore[arg-type]
