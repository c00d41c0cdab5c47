from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.sinks.rows import Row, to_row
from tests.result_doubles import make_result

DOCS = Path(__file__).parents[3] / "docs" / "results.md"


def objects_of(row: Row) -> list[Row]:
    objects = row["objects"]
    assert isinstance(objects, list)
    return objects


def test_a_row_says_all_about_a_frame() -> None:
    step = {"ladder_step": 1, "ladder_name": "small side", "ladder_reason": "late"}
    result = make_result(3, dropped={"late": 2}, **step, reuse="still", embedding_age_ms=66.6667)
    row = json.loads(json.dumps(to_row(result), allow_nan=False))
    assert {key: value for key, value in row.items() if key not in ("objects", "timings")} == {
        "schema": 1,
        "frame_id": 3,
        "name": "f3",
        "captured_at_ns": 120_000_000,
        "image_hw": [120, 160],
        "age_ms": 31.25,
        **step,
        "reuse": "still",
        "embedding_age_ms": 66.667,
        "backend": "onnx",
        "bundle": "tiny 1.0",
        "encoder_side": 256,
        "dropped": {"late": 2},
    }
    assert row["timings"]["encode_ms"] == 20.0
    assert row["timings"]["age_ms"] == 31.25


def test_an_object_carries_its_mask_its_box_and_its_prompt() -> None:
    result = make_result()
    first, second = objects_of(to_row(result))
    mask = result.masks.masks[0]
    assert first["id"] == 1
    assert first["area"] == mask.sum()
    assert first["predicted_iou"] == pytest.approx(0.95)
    assert first["box_xyxy"] == result.masks.boxes_xyxy[0].tolist()
    assert first["prompt"] == {"box_xyxy": [20.0, 30.0, 90.0, 100.0]}
    assert second["rle"] == result.masks.rle()[1]
    text = result.masks.rle()[0]["counts"]
    assert isinstance(text, str)
    assert np.array_equal(rle.from_runs(rle.decompress(text), (120, 160)), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own
def test_coco_reads_the_mask() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    result = make_result()
    for item, mask in zip(objects_of(to_row(result)), result.masks.masks, strict=True):
        assert np.array_equal(coco.decode(item["rle"]), mask)
        assert coco.area(item["rle"]) == item["area"]


def test_masks_can_be_left_out() -> None:
    assert all("rle" not in item for item in objects_of(to_row(make_result(), with_rle=False)))


def test_points_boxes_and_masks_of_a_prompt_are_told_apart() -> None:
    prompt = Prompt.point(1.25, 2) + Prompt.box(3, 4, 50, 60) + Prompt.point(7, 8, 0)
    prompt = prompt.with_mask(np.zeros((4, 4), np.float32))
    result = make_result(boxes=((0, 0, 50, 60),), prompts=(prompt,))
    assert objects_of(to_row(result))[0]["prompt"] == {
        "point_coords": [[1.25, 2.0], [7.0, 8.0]],
        "point_labels": [1, 0],
        "box_xyxy": [3.0, 4.0, 50.0, 60.0],
        "mask_input": True,
    }


def test_everything_mode_gives_points_and_stability() -> None:
    made = make_result().masks
    masks = MaskSet(
        made.low_res_logits,
        made.predicted_iou,
        made.fit,
        point_coords=np.array([[5, 6], [7, 8]], np.float32),
        stability_offset=1.0,
        completeness=0.25,
    )
    row = to_row(make_result(masks=masks, prompts=()))
    items = objects_of(row)
    assert items[1]["prompt"] == {"point_coords": [[7.0, 8.0]], "point_labels": [1]}
    stable = masks.stability_score
    assert [item["stability_score"] for item in items] == pytest.approx(stable.tolist(), abs=1e-4)
    assert row["completeness"] == 0.25


def test_numbers_that_json_lacks_are_null() -> None:
    made = make_result().masks
    odd = MaskSet(made.low_res_logits, np.array([np.nan, np.inf], np.float32), made.fit)
    row = to_row(make_result(masks=odd))
    assert [item["predicted_iou"] for item in objects_of(row)] == [None, None]
    json.dumps(row, allow_nan=False)


def test_the_page_describes_every_key() -> None:
    page = DOCS.read_text()
    row = to_row(make_result())
    timings = row["timings"]
    assert isinstance(timings, dict)
    for key in (*row, *timings, *objects_of(row)[0], "stability_score", "completeness"):
        assert f"`{key}`" in page, key
