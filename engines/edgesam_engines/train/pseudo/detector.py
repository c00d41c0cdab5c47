"""Boxes by YOLOX-nano, through ONNX Runtime.

Input and output as `shared/data/weights/README.md` states them; the model is Ge et al. 2021,
"YOLOX: Exceeding YOLO Series in 2021", with the 80 classes of COCO.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo.classes import COCO_CLASSES
from edgesam_engines.train.pseudo.config import Detect
from edgesam_engines.train.sources import Image
from edgesam_rt.imaging.masks import nms
from edgesam_rt.types import F32

INPUT, SIDE, STRIDES = "images", 416, (8, 16, 32)
_GREY = 114  # what the model was trained to see beside a photo
_APART = 2 * 4096.0  # moves the boxes of different classes off each other; no photo is larger


@dataclass(frozen=True)
class Detection:
    """One box."""

    box_xyxy: tuple[float, float, float, float]  # pixels of the photo, clipped to it
    score: float  # objectness times class, [0, 1]
    name: str  # COCO class


def to_detector_input(image: Image) -> tuple[F32, float]:
    """Letterbox a photo to the upper left.

    Args:
        image: (h, w, 3) RGB.

    Returns:
        (1, 3, SIDE, SIDE) BGR, 0 to 255; and input pixels per photo pixel.
    """
    h, w = image.shape[:2]
    scale = min(SIDE / h, SIDE / w)
    nw, nh = max(1, int(w * scale)), max(1, int(h * scale))
    out = np.full((SIDE, SIDE, 3), _GREY, np.uint8)
    out[:nh, :nw] = cv2.resize(image, (nw, nh), interpolation=cv2.INTER_LINEAR)
    planes = out[..., ::-1].transpose(2, 0, 1)[None]
    return np.ascontiguousarray(planes, np.float32), scale


def decode_output(raw: F32, scale: float) -> tuple[F32, F32]:
    """Boxes and class scores of every cell.

    Args:
        raw: (3549, 85) as the model gives it: strides 8, 16, 32, row-major; centre and log size in
            cells, objectness, classes, the last two after their sigmoid.
        scale: input pixels per photo pixel.

    Returns:
        (3549, 4) left, top, right, bottom in photo pixels, not clipped; (3549, 80) in [0, 1].
    """
    cells, steps = [], []
    for stride in STRIDES:
        n = SIDE // stride
        y, x = np.divmod(np.arange(n * n), n)
        cells.append(np.stack([x, y], 1))
        steps.append(np.full((n * n, 1), stride))
    cell, step = np.concatenate(cells), np.concatenate(steps)
    centre = (raw[:, :2] + cell) * step
    half = np.exp(raw[:, 2:4]) * step / 2
    boxes = np.concatenate([centre - half, centre + half], 1) / scale
    return boxes.astype(np.float32), (raw[:, 4:5] * raw[:, 5:]).astype(np.float32)


def choose_boxes(
    boxes: F32, scores: F32, image_hw: tuple[int, int], rules: Detect
) -> list[Detection]:
    """The boxes worth asking for, by falling score.

    Args:
        boxes: (K, 4) left, top, right, bottom in photo pixels.
        scores: (K, C) by class.
        image_hw: of the photo, in pixels.
        rules: how sure, how different, how many, how large.

    Returns:
        At most `rules.max_boxes`; doubles are dropped within a class only.
    """
    h, w = image_hw
    kind, best = scores.argmax(1), scores.max(1)
    clipped = boxes.clip(0, np.array([w, h, w, h], np.float32))
    shorter = (clipped[:, 2:] - clipped[:, :2]).min(1)
    good = np.flatnonzero((best >= rules.score) & (shorter >= rules.min_side * max(h, w)))
    apart = clipped[good] + _APART * kind[good, None]
    kept = good[nms(apart, best[good], rules.nms)[: rules.max_boxes]]
    return [
        Detection(_corners(clipped[i]), float(best[i]), COCO_CLASSES[int(kind[i])]) for i in kept
    ]


def _corners(box: F32) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1


class Detector:
    """The model, on one thread of the CPU."""

    def __init__(self, path: Path, rules: Detect) -> None:
        if not path.is_file():
            raise RecipeError(
                f"detector: {path} is no file; expected YOLOX-nano as ONNX, which lies in "
                "shared/data/weights: name it in the rules and its data folder by --data"
            )
        data = path.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._rules = rules

    def __call__(self, image: Image) -> list[Detection]:
        """Boxes of an RGB photo (h, w, 3), by falling score."""
        feed, scale = to_detector_input(image)
        raw = self._session.run(None, {INPUT: feed})[0][0]
        boxes, scores = decode_output(raw, scale)
        h, w = image.shape[:2]
        return choose_boxes(boxes, scores, (h, w), self._rules)
