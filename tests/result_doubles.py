"""Results made by hand, for tests of whatever takes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import Frame, MaskSet, Prompt, Result, Timings
from edgesam_rt.types import F32, U8

SIDE = 256
CELLS = 64

Box = tuple[float, float, float, float]


def box_logits(box: Box, fit: Fit) -> F32:
    """(CELLS, CELLS) logits of about `box` (px): positive inside, sloping at its edge."""
    corners = fit.to_unit(np.array(box, np.float32).reshape(2, 2)) * CELLS
    (x0, y0), (x1, y1) = corners.tolist()
    at = np.arange(CELLS) + 0.5
    inside_x = np.minimum(at - x0, x1 - at)
    inside_y = np.minimum(at - y0, y1 - at)
    logits: F32 = np.minimum(inside_x[None], inside_y[:, None]).clip(-4, 4).astype(np.float32)
    return logits


def make_masks(boxes: Sequence[Box], image_hw: tuple[int, int]) -> MaskSet:
    """A mask for every box."""
    fit = Fit.longest_side(image_hw, SIDE)
    logits = np.array([box_logits(box, fit) for box in boxes], np.float32)
    scores = np.linspace(0.95, 0.5, len(boxes)).astype(np.float32)
    return MaskSet(logits.reshape(-1, CELLS, CELLS), scores, fit)


def make_pixels(image_hw: tuple[int, int], seed: int = 0) -> U8:
    """A soft picture, which video codecs keep well."""
    y, x = np.mgrid[: image_hw[0], : image_hw[1]]
    planes = [60 + 40 * np.sin(y / 40 + seed), 90 + 30 * np.cos(x / 50 + seed), 80 + 0 * x]
    return np.stack(planes, 2).astype(np.uint8)


def make_result(
    frame_id: int = 0,
    image_hw: tuple[int, int] = (120, 160),
    boxes: Sequence[Box] = ((20, 30, 90, 100), (100, 20, 140, 60)),
    **changes: Any,
) -> Result:
    """A result of one box prompt per object; `changes` are fields of Result."""
    values: dict[str, Any] = {
        "frame": Frame(
            frame_id, make_pixels(image_hw, frame_id), frame_id * 40_000_000, f"f{frame_id}"
        ),
        "masks": make_masks(boxes, image_hw),
        "object_ids": tuple(range(1, len(boxes) + 1)),
        "prompts": tuple(Prompt.box(*box) for box in boxes),
        "timings": Timings(2.0, 1.0, 20.0, 3.0, 0.5, 31.25),
        "backend": "onnx",
        "bundle": "tiny 1.0",
        "encoder_side": SIDE,
    }
    return Result(**(values | changes))
