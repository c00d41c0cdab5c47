"""Losses on masks and on predicted IoUs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgesam_engines.train.config import Loss

_SMOOTH = 1.0  # pixels added to both sides of the dice ratio
_AREA_FLOOR = 8.0  # pixels; keeps the loss of tiny objects bounded


def outline_weight(target: Tensor, amount: float, radius: int) -> Tensor:
    """(..., h, w) covered part to weights in [1, 1 + amount], highest along the outline."""
    mean = functional.avg_pool2d(target, 2 * radius + 1, 1, radius, count_include_pad=False)
    return 1 + 4 * amount * mean * (1 - mean)


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor, rules: Loss) -> Tensor:
    """Loss of every answer.

    Args:
        logits: (B, N, M, h, w).
        target: (B, N, h, w) covered part in [0, 1].
        weight: (B, N, h, w) of the pixels' cross entropy, as `outline_weight` gives it.
        rules: the weights of dice and of both kinds of cross entropy.

    Returns:
        (B, N, M).
    """
    pixels = (-2, -1)
    true = target.unsqueeze(2)
    p = torch.sigmoid(logits)
    cross = functional.binary_cross_entropy_with_logits(
        logits, true.expand_as(logits), reduction="none"
    )
    cross = cross * weight.unsqueeze(2)
    both, made, wanted = (p * true).sum(pixels), p.sum(pixels), true.sum(pixels)
    dice = 1 - (2 * both + _SMOOTH) / (made + wanted + _SMOOTH)
    union = (made + wanted - both).detach() + _AREA_FLOOR
    by_area = cross.sum(pixels) / union
    return rules.dice * dice + rules.bce_area * by_area + rules.bce_mean * cross.mean(pixels)


@torch.no_grad()
def achieved_iou(logits: Tensor, fine: Tensor) -> Tensor:
    """IoU of the answers as masks.

    Args:
        logits: (B, N, M, h, w); scaled up first, as the engines do.
        fine: (B, N, H, W) covered part in [0, 1], H and W whole multiples of h and w.

    Returns:
        (B, N, M) in [0, 1].
    """
    size = fine.shape[-2:]
    if logits.shape[-2:] != size:
        logits = functional.interpolate(
            logits.flatten(0, 1), size=size, mode="bilinear", align_corners=False
        ).view(*logits.shape[:3], *size)
    made = (logits > 0).float().flatten(3)
    true = (fine > 0.5).float().flatten(2)
    counts = made @ torch.stack(
        [true, torch.ones_like(true)], -1
    )  # of the overlap, of what is made
    both = counts[..., 0]
    union = counts[..., 1] + true.sum(-1, keepdim=True) - both
    return both / union.clamp(min=1)


def iou_loss(iou_logits: Tensor, achieved: Tensor) -> Tensor:
    """Cross entropy of predicted against achieved IoU, elementwise, less its smallest value.

    So 0 means that the prediction is right; any shape.
    """
    own = achieved.clamp(1e-6, 1 - 1e-6)
    floor = -(own * own.log() + (1 - own) * (1 - own).log())
    return (
        functional.binary_cross_entropy_with_logits(iou_logits, achieved, reduction="none") - floor
    )


def rank_loss(iou_logits: Tensor, achieved: Tensor) -> Tensor:
    """(B, N, M) each to (B, N): every pair of answers in the right order, weighted by its gap."""
    gap = achieved.unsqueeze(-1) - achieved.unsqueeze(-2)
    lead = iou_logits.unsqueeze(-1) - iou_logits.unsqueeze(-2)
    return (functional.softplus(-lead) * gap.clamp(min=0)).sum((-1, -2))
