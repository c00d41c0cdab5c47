from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.errors import ConfigError

pytest.importorskip("pycocotools")


def square(x: int, y: int, side: int) -> list[list[int]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((40, 50, 3), np.uint8))
    runs = {"size": [40, 50], "counts": [0, 400, 1600]}
    notes = [
        {"image_id": 1, "segmentation": square(10, 5, 20)},
        {"image_id": 1, "segmentation": square(1, 1, 3)},  # 9 px: too small
        {"image_id": 1, "segmentation": runs, "iscrowd": 1},
        {"image_id": 1, "segmentation": runs, "iscrowd": 0},
    ]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": notes}))
    return tmp_path


def test_crowds_and_tiny_objects_are_left_out(folder: Path) -> None:
    (photo,) = CocoFolder(folder, limit=1)
    assert photo.pixels.shape == (40, 50, 3)
    assert [int(m.sum()) for m in photo.objects] == [400, 400]
    assert photo.objects[0][5:25, 10:30].all()
    assert photo.objects[1][:, :10].all()


def test_a_listed_photo_that_is_missing_is_named(folder: Path) -> None:
    photos = CocoFolder(folder)
    assert len(photos) == 2
    with pytest.raises(ConfigError, match=r"gone\.png"):
        list(photos)


def test_a_folder_without_annotations_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data"):
        CocoFolder(tmp_path)
