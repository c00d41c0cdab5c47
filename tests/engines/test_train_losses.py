"""Losses at points where their value is known."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.train.config import load_recipe
from edgesam_engines.train.losses import (
    achieved_iou,
    frame_loss,
    iou_loss,
    mask_loss,
    outline_weight,
    rank_loss,
)
from tests.engines.train_doubles import COMMITTED

pytestmark = pytest.mark.torch


def square() -> torch.Tensor:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    return target


def test_the_mask_loss_falls_towards_the_right_mask() -> None:
    rules = load_recipe(COMMITTED).loss
    target = square()
    sign = (target * 2 - 1).unsqueeze(2)
    logits = torch.cat([sign * 20, sign * 2, sign * 0, sign * -5], 2)
    losses = mask_loss(logits, target, torch.ones_like(target), rules)[0, 0]
    assert losses[0] == pytest.approx(0, abs=1e-4)
    assert losses.tolist() == sorted(losses.tolist())


def test_pixels_at_the_outline_weigh_more() -> None:
    weight = outline_weight(square(), 2.0, 1)[0, 0]
    assert weight[8, 8] == 1
    assert weight[0, 0] == 1
    assert 1 < weight[8, 4] <= 3


def test_the_frame_loss_is_zero_for_the_box_itself_and_counts_in_the_objects_size() -> None:
    boxes = torch.tensor([[[[0.2, 0.2], [0.4, 0.6]]]])
    right = torch.tensor([0.3, 0.4, 0.1, 0.2])
    moved = right + torch.tensor([0.1, 0.0, 0.0, 0.0])
    far = right + torch.tensor([9.0, 0.0, 0.0, 0.0])
    losses = frame_loss(torch.stack([right, moved, far])[None, None], boxes)[0, 0]
    assert losses.tolist() == pytest.approx([0, 0.25, 1.75], abs=1e-5)
    doubled = frame_loss((2 * torch.stack([right, moved]))[None, None], 2 * boxes)[0, 0]
    assert doubled.tolist() == pytest.approx(losses[:2].tolist(), abs=1e-5)


def test_the_achieved_iou_counts_at_the_finer_resolution() -> None:
    fine = torch.zeros(1, 1, 16, 16)
    fine[..., 0:8, 0:8] = 1
    logits = torch.full((1, 1, 3, 16, 16), -1.0)
    logits[:, :, 0, 0:8, 0:8] = 1
    logits[:, :, 1, 0:8, 0:4] = 1
    assert achieved_iou(logits, fine)[0, 0].tolist() == [1, 0.5, 0]
    low = torch.nn.functional.avg_pool2d(logits.flatten(0, 1), 2).unsqueeze(0)
    assert achieved_iou(low, fine)[0, 0, 0] > 0.9


def test_the_iou_loss_is_zero_for_the_right_answer_only() -> None:
    achieved = torch.tensor([0.0, 0.2, 0.9, 1.0])
    right = torch.logit(achieved.clamp(1e-6, 1 - 1e-6))
    assert iou_loss(right, achieved).abs().max() < 1e-3
    assert (iou_loss(right + 1, achieved)[1:3] > 0.01).all()


def test_the_ranking_loss_prefers_the_right_order_by_the_gap() -> None:
    achieved = torch.tensor([0.8, 0.5, 0.1])
    right = rank_loss(torch.tensor([2.0, 1.0, -1.0]), achieved)
    swapped = rank_loss(torch.tensor([-1.0, 1.0, 2.0]), achieved)
    near = rank_loss(torch.tensor([1.0, 2.0, -1.0]), achieved)
    assert right < near < swapped
    assert rank_loss(torch.randn(3), torch.full((3,), 0.4)) == 0
