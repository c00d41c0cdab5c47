"""Where the prompts of a step lie."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from edgesam_engines.families.pocketsam import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PAD_LABEL,
)
from edgesam_engines.train.config import PromptRules
from edgesam_engines.train.prompts import (
    deepest,
    error_clicks,
    first_prompts,
    jitter_boxes,
    random_pixels,
    tight_boxes,
)

pytestmark = pytest.mark.torch


def rules(**changes: float) -> PromptRules:
    values = {
        "box": 0.5,
        "box_jitter": 0.1,
        "tight": 0.0,
        "centre": 0.0,
        "deepest": 0.0,
        "mask": 1.0,
    }
    return PromptRules(rounds=4, **(values | changes))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rectangle(x0: int, y0: int, x1: int, y1: int, size: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., y0:y1, x0:x1] = 1
    return mask


def at(mask: Tensor, xy: Tensor) -> float:
    """Value of a mask (1, 1, h, w) at a position (1, 1, 2)."""
    n = mask.shape[-1]
    x, y = (xy[0, 0] * n).long().tolist()
    return float(mask[0, 0, y, x])


def test_tight_boxes_touch_the_object() -> None:
    box = tight_boxes(rectangle(4, 8, 20, 12))[0, 0]
    assert torch.allclose(box * 32, torch.tensor([[4.0, 8.0], [20.0, 12.0]]))


def test_box_jitter_keeps_the_order_of_the_corners_and_the_photo() -> None:
    boxes = torch.rand(4, 50, 1, 2) * torch.tensor([1.0, 0.01]) + torch.zeros(4, 50, 2, 2)
    boxes = boxes.sort(2).values
    moved = jitter_boxes(boxes, rules(box_jitter=1.0), generator())
    assert (moved[..., 1, :] > moved[..., 0, :]).all()
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_tight_boxes_are_left_alone_by_the_jitter() -> None:
    boxes = tight_boxes(rectangle(4, 8, 20, 12))
    assert jitter_boxes(boxes, rules(tight=1.0), generator()).equal(boxes)


def test_random_pixels_have_weight() -> None:
    mask = rectangle(3, 3, 5, 4)
    for seed in range(20):
        assert at(mask, random_pixels(mask, generator(seed))) == 1


def test_the_deepest_pixel_is_the_middle() -> None:
    mask = np.zeros((21, 41), bool)
    mask[5:16, 10:21] = True
    x, y, depth = deepest(mask)
    assert (x * 41, y * 21) == pytest.approx((15.5, 10.5))
    assert 5.5 < depth < 6.5
    assert deepest(np.zeros((4, 4), bool))[2] == 0


def test_first_prompts_are_boxes_then_points_inside() -> None:
    fine = rectangle(8, 8, 40, 40, 64).expand(2, 4, -1, -1)
    coarse = rectangle(4, 4, 20, 20).expand(2, 4, -1, -1)
    coords, labels = first_prompts(coarse, fine, 2, rules(tight=1.0), generator())
    assert coords.shape == (2, 4, 5, 2)
    pad = [PAD_LABEL] * 3
    assert labels[0, 0].tolist() == [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, *pad]
    assert labels[0, 3].tolist() == [FOREGROUND, PAD_LABEL, *pad]
    assert torch.allclose(coords[0, 0, :2] * 64, torch.tensor([[8.0, 8.0], [40.0, 40.0]]))
    for i in (2, 3):
        assert at(fine, coords[:1, i : i + 1, 0]) == 1
    assert coords[:, :, 2:].eq(0).all()


def test_centred_first_points_lie_at_the_deepest_pixel() -> None:
    fine, coarse = rectangle(10, 10, 31, 31, 64), rectangle(5, 5, 15, 15)
    coords, _ = first_prompts(coarse, fine, 0, rules(centre=1.0), generator())
    assert torch.allclose(coords[0, 0, 0] * 64, torch.tensor([20.5, 20.5]))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_error_clicks_land_in_the_error_with_its_label(share: float) -> None:
    target = rectangle(4, 4, 20, 20)
    left = torch.where(rectangle(4, 4, 10, 20) > 0, 5.0, -5.0)
    more = torch.where(rectangle(4, 4, 30, 20) > 0, 5.0, -5.0)
    for seed in range(10):
        xy, label = error_clicks(left, target, rules(deepest=share), generator(seed))
        assert label.item() == FOREGROUND
        assert at(target, xy) == 1
        assert at(left, xy) < 0
        xy, label = error_clicks(more, target, rules(deepest=share), generator(seed))
        assert label.item() == BACKGROUND
        assert at(target, xy) == 0
        assert at(more, xy) > 0


def test_the_deepest_error_wins_over_the_larger_one() -> None:
    target = rectangle(0, 0, 32, 2)  # missing: 64 pixels, but thin
    logits = torch.where(rectangle(10, 10, 17, 17) > 0, 5.0, -5.0)  # too much: 49, but deep
    xy, label = error_clicks(logits, target, rules(deepest=1.0), generator())
    assert label.item() == BACKGROUND
    assert torch.allclose(xy[0, 0] * 32, torch.tensor([13.5, 13.5]))


def test_without_an_error_the_click_confirms_the_object() -> None:
    target = rectangle(4, 4, 20, 20)
    xy, label = error_clicks(target * 10 - 5, target, rules(deepest=1.0), generator())
    assert label.item() == FOREGROUND
    assert at(target, xy) == 1
