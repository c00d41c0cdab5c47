"""YOLOX-nano: what goes in, what comes out, and which boxes are chosen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo.classes import COCO_CLASSES
from edgesam_engines.train.pseudo.config import Detect
from edgesam_engines.train.pseudo.detector import (
    SIDE,
    Detector,
    choose_boxes,
    decode_output,
    to_detector_input,
)
from edgesam_rt.imaging.masks import box_iou

pytestmark = pytest.mark.torch
DATA = Path(__file__).resolve().parents[3] / "shared/data"
LOOSE = Detect(score=0.3, nms=0.5, max_boxes=10, min_side=0.0)


def test_there_are_eighty_classes() -> None:
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES[0], COCO_CLASSES[15], COCO_CLASSES[79]) == ("person", "cat", "toothbrush")


def test_the_input_is_bgr_and_lies_in_the_upper_left_on_grey() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    image[..., 0] = 200
    feed, scale = to_detector_input(image)
    assert feed.shape == (1, 3, SIDE, SIDE)
    assert scale == SIDE / 100
    assert feed[0, :, :208].reshape(3, -1).max(1).tolist() == [0, 0, 200]
    assert (feed[0, :, 208:] == 114).all()


@pytest.mark.parametrize(("row", "x", "y", "stride"), [(0, 0, 0, 8), (2704 + 27, 1, 1, 16)])
def test_a_cell_is_decoded_to_a_box_of_the_photo(row: int, x: int, y: int, stride: int) -> None:
    raw = np.zeros((3549, 85), np.float32)
    raw[row, :4] = (0.5, 0.25, np.log(2), np.log(4))
    raw[row, 4], raw[row, 5 + 16] = 0.5, 0.8
    boxes, scores = decode_output(raw, 0.5)
    cx, cy = (x + 0.5) * stride, (y + 0.25) * stride
    expected = np.array([cx - stride, cy - 2 * stride, cx + stride, cy + 2 * stride]) / 0.5
    assert boxes[row] == pytest.approx(expected)
    assert scores[row].argmax() == 16
    assert scores[row, 16] == pytest.approx(0.4)


def two_boxes(shift: float) -> np.ndarray:
    return np.array([[10, 10, 60, 60], [10 + shift, 10, 60 + shift, 60]], np.float32)


def test_doubles_of_a_class_are_dropped_and_those_of_two_classes_are_not() -> None:
    same, other = np.zeros((2, 80), np.float32), np.zeros((2, 80), np.float32)
    same[:, 0] = other[0, 0] = 0.6
    same[1, 0] = other[1, 16] = 0.9
    kept = choose_boxes(two_boxes(5), same, (100, 100), LOOSE)
    assert [(d.name, round(d.score, 3)) for d in kept] == [("person", 0.9)]
    kept = choose_boxes(two_boxes(5), other, (100, 100), LOOSE)
    assert [d.name for d in kept] == ["dog", "person"]


def test_boxes_are_clipped_to_the_photo_and_small_or_unsure_ones_left_out() -> None:
    boxes = np.array([[-20, -5, 50, 200], [10, 10, 14, 90], [0, 0, 50, 50]], np.float32)
    scores = np.zeros((3, 80), np.float32)
    scores[:, 2] = (0.5, 0.9, 0.2)
    rules = Detect(score=0.3, nms=0.5, max_boxes=10, min_side=0.05)
    (only,) = choose_boxes(boxes, scores, (100, 100), rules)
    assert only.box_xyxy == (0, 0, 50, 100)


def test_the_best_boxes_are_taken_when_there_are_too_many() -> None:
    boxes = np.array([[20 * i, 0, 20 * i + 20, 20] for i in range(4)], np.float32)
    scores = np.zeros((4, 80), np.float32)
    scores[:, 0] = (0.4, 0.9, 0.5, 0.8)
    rules = Detect(score=0.3, nms=0.5, max_boxes=2, min_side=0.0)
    kept = choose_boxes(boxes, scores, (100, 100), rules)
    assert [round(d.score, 3) for d in kept] == [0.9, 0.8]


def test_a_missing_detector_is_named_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.onnx.*--data"):
        Detector(tmp_path / "none.onnx", LOOSE)


def test_boxes_fit_the_largest_objects_of_labelled_photos() -> None:
    model, folder = DATA / "weights/yolox_nano.onnx", DATA / "masks/coco_train_tiny"
    if not (model.is_file() and folder.is_dir()):
        pytest.skip(f"{DATA} lacks weights/yolox_nano.onnx or masks/coco_train_tiny")
    detector = Detector(model, LOOSE)
    best = []
    for photo in sorted(folder.glob("*.webp"))[:8]:
        image = cv2.imread(str(photo))[..., ::-1]
        ids = cv2.imread(str(photo.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
        largest = int(np.bincount(ids[ids > 0]).argmax())
        x, y, w, h = cv2.boundingRect((ids == largest).view(np.uint8))
        mine = np.array([d.box_xyxy for d in detector(image)]).reshape(-1, 4)
        best.append(box_iou(mine, np.array([[x, y, x + w, y + h]])).max(initial=0))
    assert np.median(best) > 0.8
