"""Prompts drawn from the target masks and from the errors of the last answer.

Coordinates are x, y in image sides, [0, 1]. All randomness comes from the generator handed in.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from edgesam_engines.families.pocketsam import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PAD_LABEL,
    TRAINED_TOKENS,
)
from edgesam_engines.train.config import PromptRules

FIRST_SLOTS = 2  # a box takes both, a point the first; corrections follow
_MIN_SIDE = 0.003  # of a box, in image sides
_CORE = 5  # window, in pixels, in which the neighbours of a random click are counted
_FAINT = 1e-4  # weight of pixels at the rim, so that thin things can be clicked too


def tight_boxes(target: Tensor) -> Tensor:
    """(B, N, h, w) covered part in [0, 1] to (B, N, 2, 2) upper left and lower right corners."""
    inside = target > 0.3
    corners = []
    for axis in (2, 3):  # columns tell x, rows tell y
        seen = inside.any(axis)
        n = seen.shape[-1]
        at = torch.arange(n, device=target.device)
        low = torch.where(seen, at, n - 1).amin(-1)
        high = torch.where(seen, at, 0).amax(-1) + 1
        corners.append(torch.stack([low, high], -1).float() / n)
    return torch.stack(corners, -1)


def jitter_boxes(boxes: Tensor, rules: PromptRules, generator: Generator) -> Tensor:
    """Move the edges of most boxes; the order of the corners stays."""
    shape, device = boxes.shape, boxes.device
    size = (boxes[..., 1, :] - boxes[..., 0, :]).clamp(min=_MIN_SIDE).unsqueeze(-2)
    amount = torch.rand(*shape[:2], 1, 1, generator=generator, device=device) * rules.box_jitter
    loose = torch.rand(*shape[:2], 1, 1, generator=generator, device=device) >= rules.tight
    noise = torch.randn(shape, generator=generator, device=device)
    moved = (boxes + noise * amount * loose * size).clamp(0, 1)
    low = torch.minimum(moved[..., 0, :], moved[..., 1, :]).clamp(max=1 - _MIN_SIDE)
    high = torch.maximum(torch.maximum(moved[..., 0, :], moved[..., 1, :]), low + _MIN_SIDE)
    return torch.stack([low, high], -2)


def random_pixels(weight: Tensor, generator: Generator) -> Tensor:
    """(B, N, h, w) weights >= 0 to (B, N, 2) positions, anywhere inside the pixels drawn."""
    b, n, h, w = weight.shape
    total = weight.flatten(2).cumsum(-1)
    where = torch.rand(b, n, 1, generator=generator, device=weight.device) * total[..., -1:]
    index = torch.searchsorted(total, where, right=True).squeeze(-1).clamp(max=h * w - 1)
    inside = torch.rand(b, n, 2, generator=generator, device=weight.device)
    xy = torch.stack([index % w, index // w], -1) + inside
    return xy / torch.tensor([w, h], device=weight.device)


def core_weight(region: Tensor) -> Tensor:
    """(B, N, h, w) of 0 and 1 to weights that prefer pixels with many neighbours of their kind."""
    half = _CORE // 2
    near = functional.avg_pool2d(region, (1, _CORE), 1, (0, half))
    near = functional.avg_pool2d(near, (_CORE, 1), 1, (half, 0))
    return region * near.pow(3) + _FAINT * region


def deepest(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """x, y in image sides of the pixel farthest from the outline, and that distance in pixels.

    All zero for an empty mask; what lies outside the image counts as outside the mask.
    """
    h, w = mask.shape
    bits = mask.view(np.uint8)
    x0, y0, bw, bh = cv2.boundingRect(bits)
    if bw == 0:
        return 0.0, 0.0, 0.0
    padded = np.pad(bits[y0 : y0 + bh, x0 : x0 + bw], 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), bw)
    return (x0 + x + 0.5) / w, (y0 + y + 0.5) / h, float(depth[y, x])


def _deepest_of(masks: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Deepest pixels (B, N, 2) and depths (B, N) of the wanted masks; zeros elsewhere."""
    b, n = wanted.shape
    xy, depth = np.zeros((b, n, 2), np.float32), np.zeros((b, n), np.float32)
    host = masks.cpu().numpy()
    for i, j in wanted.cpu().nonzero().tolist():
        xy[i, j, 0], xy[i, j, 1], depth[i, j] = deepest(host[i, j])
    return torch.from_numpy(xy).to(masks.device), torch.from_numpy(depth).to(masks.device)


def first_prompts(
    target: Tensor, fine: Tensor, boxes: int, rules: PromptRules, generator: Generator
) -> tuple[Tensor, Tensor]:
    """A box for the first objects of every photo, a point for the others.

    Args:
        target: (B, N, h, w) covered part in [0, 1].
        fine: (B, N, H, W) the same at a higher resolution; tells boxes and centres.
        boxes: how many of the N get a box.
        rules: the shares of each kind.
        generator: on the device of the tensors.

    Returns:
        coords (B, N, P, 2) and labels (B, N, P), P being TRAINED_TOKENS.
    """
    b, n = target.shape[:2]
    device = target.device
    coords = torch.zeros(b, n, TRAINED_TOKENS, 2, device=device)
    labels = torch.full((b, n, TRAINED_TOKENS), float(PAD_LABEL), device=device)
    coords[:, :boxes, :2] = jitter_boxes(tight_boxes(fine[:, :boxes]), rules, generator)
    labels[:, :boxes, 0], labels[:, :boxes, 1] = BOX_TOP_LEFT, BOX_BOTTOM_RIGHT
    coords[:, boxes:, 0] = _first_points(target[:, boxes:], fine[:, boxes:], rules, generator)
    labels[:, boxes:, 0] = FOREGROUND
    return coords, labels


def _first_points(target: Tensor, fine: Tensor, rules: PromptRules, generator: Generator) -> Tensor:
    point = random_pixels(core_weight((target > 0.5).float()) + _FAINT * target, generator)
    centred = torch.rand(point.shape[:2], generator=generator, device=point.device) < rules.centre
    middle, depth = _deepest_of(fine > 0.5, centred)
    return torch.where((centred & (depth > 0)).unsqueeze(-1), middle, point)


def error_clicks(
    logits: Tensor, target: Tensor, rules: PromptRules, generator: Generator
) -> tuple[Tensor, Tensor]:
    """One correction for every object.

    As the protocol does it, part of the clicks go to the deepest pixel of what is missing or of
    what is too much, whichever is deeper; the rest to a random pixel of the error. Where there is
    no error, a positive click inside the object.

    Args:
        logits: (B, N, h, w) of the last answer.
        target: (B, N, h, w) covered part in [0, 1].
        rules: the shares of each kind.
        generator: on the device of the tensors.

    Returns:
        coords (B, N, 2) and labels (B, N), FOREGROUND where something was missing.
    """
    made, true = logits > 0, target > 0.5
    missing, extra = true & ~made, made & ~true
    wrong = (missing | extra).float()
    none = wrong.sum((2, 3)) == 0
    weight = core_weight(wrong)
    if bool(none.any()):
        inside = core_weight(true.float()) + _FAINT * target
        weight = torch.where(none[..., None, None], inside, weight)
    xy = random_pixels(weight, generator)
    label = _lookup(true, xy) | none

    wanted = torch.rand(none.shape, generator=generator, device=none.device) < rules.deepest
    wanted = wanted & ~none
    miss_xy, miss_depth = _deepest_of(missing, wanted)
    extra_xy, extra_depth = _deepest_of(extra, wanted)
    positive = miss_depth >= extra_depth
    deep = torch.where(positive.unsqueeze(-1), miss_xy, extra_xy)
    xy = torch.where(wanted.unsqueeze(-1), deep, xy)
    label = torch.where(wanted, positive, label)
    return xy, torch.where(label, float(FOREGROUND), float(BACKGROUND))


def _lookup(mask: Tensor, xy: Tensor) -> Tensor:
    """Values (B, N) of masks (B, N, h, w) at positions (B, N, 2) in image sides."""
    h, w = mask.shape[-2:]
    x = (xy[..., 0] * w).long().clamp(0, w - 1)
    y = (xy[..., 1] * h).long().clamp(0, h - 1)
    return mask.flatten(2).gather(2, (y * w + x).unsqueeze(-1)).squeeze(-1)
