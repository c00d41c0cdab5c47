"""What a teacher is asked about a photo: the objects that it finds on a grid of points.

The points are SAM's automatic ones (Kirillov et al. 2023, "Segment Anything", section 5), each
moved by chance within its cell; what the teacher itself rates high and is stable is kept, and every
object is then asked for by its box as well. So a student gets both kinds of prompts about the same
things.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgesam_engines.train.config import Distil, Recipe
from edgesam_engines.train.distil.cache import Answers, as_bytes
from edgesam_engines.train.distil.teacher import Reply, Seen, Teacher, covered
from edgesam_engines.train.prompts import jitter_boxes
from edgesam_rt.imaging.masks import nms, stability_scores
from edgesam_rt.prompt_feeds import from_boxes, from_points
from edgesam_rt.types import F32, I64, U8

_OFFSET = 1.0  # logits to both sides, of the stability
_AREA = (0.0005, 0.9)  # of the photo; objects outside are a speck, or the whole scene


def answers_about(teacher: Teacher, pixels: U8, recipe: Recipe, seed: int) -> Answers:
    """Ask about a photo (H, W, 3) uint8 RGB; K = 0 where the teacher is sure of nothing."""
    assert recipe.distil is not None
    seen = teacher.encode(pixels)
    points = _grid(recipe.distil.points_per_side, np.random.default_rng([recipe.seed, seed]))
    size = np.array(pixels.shape[1::-1], np.float32)
    reply = teacher.ask(seen, from_points(points * size, seen.fit, teacher.facts))
    chosen = _best(reply, list(teacher.facts.ambiguous_answers))
    masks = covered(chosen.logits[:, 0], seen.fit) - teacher.facts.mask_threshold
    pick, corners = _kept(masks, chosen.iou[:, 0], recipe.distil)
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + seed)
    moved = jitter_boxes(corners[pick].unsqueeze(0), recipe.prompts, generator)[0]
    by_point = (masks[pick], chosen.iou[pick, 0], chosen.tokens[pick, 0])
    by_box = _boxed(teacher, seen, moved, size) if len(pick) else by_point
    both = [torch.stack(pair) for pair in zip(by_box, by_point, strict=True)]
    return Answers(
        embedding=teacher.embedding(seen).half(),
        corners=moved,
        points=torch.from_numpy(points)[pick],
        masks=as_bytes(both[0]),
        trust=both[1].clamp(0, 1),
        tokens=both[2].half(),
    )


def _grid(per_side: int, rng: np.random.Generator) -> F32:
    """(per_side ** 2, 2) points x, y in photo sides, one anywhere in each cell."""
    y, x = np.mgrid[:per_side, :per_side].reshape(2, -1)
    at = np.stack([x, y], -1) + rng.random((per_side**2, 2))
    return (at / per_side).astype(np.float32)


def _best(reply: Reply, among: list[int]) -> Reply:
    """Of every prompt the answer with the highest predicted IoU, M = 1."""
    best = torch.tensor(among)[reply.iou[:, among].argmax(1)]
    each = torch.arange(len(best))
    return Reply(*(t[each, best].unsqueeze(1) for t in reply))


def _kept(masks: Tensor, iou: Tensor, rules: Distil) -> tuple[Tensor, Tensor]:
    """Indices (K,) of the objects that are kept, best first, and the corners (N, 2, 2) of all."""
    made = (masks > 0).numpy()
    boxes = np.stack([_box(m) for m in made])
    area = made.mean((1, 2))
    stable = stability_scores(masks.numpy(), 0.0, _OFFSET)
    fair = (iou.numpy() >= rules.min_predicted_iou) & (stable >= rules.min_stability)
    good: I64 = np.flatnonzero(fair & (area >= _AREA[0]) & (area <= _AREA[1]))
    score = iou.numpy()[good] * stable[good]
    order = nms(boxes[good], score, rules.nms)[: rules.objects]
    return torch.from_numpy(good[order]), torch.from_numpy(boxes).view(-1, 2, 2)


def _box(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> F32:
    """(4,) left, top, right, bottom in photo sides; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros(4, np.float32)
    h, w = mask.shape
    edges = (columns[0] / w, rows[0] / h, (columns[-1] + 1) / w, (rows[-1] + 1) / h)
    return np.array(edges, np.float32)


def _boxed(teacher: Teacher, seen: Seen, corners: Tensor, size: F32) -> tuple[Tensor, ...]:
    """Masks (K, h, w), predicted IoUs (K,) and tokens (K, D) of the objects' boxes."""
    boxes = (corners.numpy() * size).reshape(-1, 4)
    reply = teacher.ask(seen, from_boxes(boxes, seen.fit, teacher.facts))
    clear = teacher.facts.clear_answer
    among = list(teacher.facts.ambiguous_answers) if clear is None else [clear]
    one = _best(reply, among)
    masks = covered(one.logits[:, 0], seen.fit) - teacher.facts.mask_threshold
    return masks, one.iou[:, 0], one.tokens[:, 0]
