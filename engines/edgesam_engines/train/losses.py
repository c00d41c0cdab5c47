"""Losses on masks and on predicted IoUs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgesam_engines.train.config import Loss

_SMOOTH = 1.0  # pixels added to both sides of the dice ratio
_FRAME_FLOOR = 0.004  # smallest half-size of an object, in image sides
_FRAME_FAR = 4.0  # half-sizes; a frame farther off than this is not pulled harder
_IOU_FLOOR = 1e-3  # an object that is missed weighs no more than one found to this part
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


def frame_loss(frames: Tensor, boxes: Tensor) -> Tensor:
    """How far expected frames are from the objects' boxes.

    Args:
        frames: (B, N, M, 4) centre x, y and half-size x, y in image sides.
        boxes: (B, N, 2, 2) upper left and lower right corners in image sides.

    Returns:
        (B, N, M): mean over both axes of the distance of the centres in the object's half-sizes
        plus the log ratio of the sizes, both smooth near 0 and bounded far away.
    """
    low, high = boxes.unsqueeze(2).unbind(-2)
    half = ((high - low) / 2).clamp(min=_FRAME_FLOOR)
    shift = (frames[..., :2] - (low + high) / 2) / half
    scale = (frames[..., 2:] / half).log()
    off = torch.cat([shift.clamp(-_FRAME_FAR, _FRAME_FAR), scale], -1)
    return 2 * functional.smooth_l1_loss(off, torch.zeros_like(off), reduction="none").mean(-1)


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


def hard_weight(achieved: Tensor, amount: float) -> Tensor:
    """Weights of objects by how far the best answer is from them.

    TinySAM's hard mask weighting, H = sigmoid(IoU(teacher, truth) / (IoU(student, truth) + eps) -
    1), where the labels are the teacher's own, so that its IoU is 1; stretched from H's [0.5, 1] to
    [1, 1 + amount]. It cannot tell a hard object from a wrong label.

    Args:
        achieved: (B, N, M) IoUs of the answers.
        amount: what an object that was missed altogether weighs more.

    Returns:
        (B, N, 1).

    Source: Shu et al. 2023, "TinySAM", equation for H_i.
    """
    best = achieved.amax(-1, keepdim=True).clamp(min=_IOU_FLOOR)
    return 1 + amount * (2 * torch.sigmoid(1 / best - 1) - 1)


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
