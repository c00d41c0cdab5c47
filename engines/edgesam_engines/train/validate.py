"""The three protocols on photos kept apart: tight box, one centre point, three clicks.

As `field.md` describes them: the point is the pixel of the object farthest from its outline; the
answer to it is the one with the highest predicted IoU; the second and third click go to the deepest
pixel of what is missing or too much, with the earlier mask given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgesam_engines.families.pocketsam import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PAD_LABEL,
    TRAINED_TOKENS,
    Embedding,
    PocketSAM,
    Prompts,
)
from edgesam_engines.train.augment import GREY
from edgesam_engines.train.config import Recipe, Validation
from edgesam_engines.train.network import to_input
from edgesam_engines.train.prompts import deepest
from edgesam_engines.train.sources import Entry, Image, Labelled, Split, decode
from edgesam_rt.bench.protocols import calibration_error

Mask = NDArray[np.bool_]
Figures = Mapping[str, float | dict[str, float]]
Clicks = list[tuple[float, float, int]]  # x, y in photo sides; label
# `point` is what a user gets; `_scored`, `_stable`: had the answer been chosen by the first score,
# by stability (the same mask at logits -1 and 1); `_best`: by the truth.
FIGURES = ("box", "point", "point_scored", "point_stable", "point_best", "clicks3", "iou_error")
_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}
_COCO_PIXELS = 640 * 480  # areas are counted in a photo of this size
log = logging.getLogger(__name__)


def letterbox(image: Image, side: int) -> tuple[Image, int, int]:
    """Fit into a square, upper left, grey around; and the width and height of the photo in it."""
    h, w = image.shape[:2]
    scale = side / max(h, w)
    nw, nh = round(w * scale), round(h * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.full((side, side, 3), GREY, np.uint8)
    out[:nh, :nw] = cv2.resize(image, (nw, nh), interpolation=how)
    return out, nw, nh


class Answers(Protocol):
    """What the protocols need of a model and a photo."""

    def ask(self, clicks: list[Clicks], earlier: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (N, M, h4, w4) and predicted IoUs (N, M) for N lists of clicks."""

    def first_scores(self, clicks: list[Clicks]) -> Tensor:
        """Predicted IoUs (N, M) before any mask is made."""

    def facts(self, logits: Tensor) -> Tensor:
        """What the judge knows of masks (N, M, h4, w4) beside tokens and features: (N, M, F)."""

    def full(self, logits: Tensor) -> NDArray[np.bool_]:
        """(N, h4, w4) logits to (N, h, w) masks."""


@dataclass
class Asker:
    """One encoded photo; takes prompts in photo sides and gives masks of the photo's size."""

    model: PocketSAM
    embedding: Embedding
    side: int
    inner: tuple[int, int]  # width and height of the photo in the square
    size: tuple[int, int]  # height and width of the photo

    def ask(self, clicks: list[Clicks], earlier: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (N, M, h4, w4) and predicted IoUs (N, M) for N lists of clicks."""
        logits, iou = self.model.decode(self.embedding, self._prompts(clicks, earlier))
        return logits[0], iou[0].sigmoid()

    def first_scores(self, clicks: list[Clicks]) -> Tensor:
        """Predicted IoUs (N, M) before any mask is made."""
        iou, _ = self.model.scorer(self.embedding, self._prompts(clicks, None))
        return cast(Tensor, iou[0].sigmoid())

    def facts(self, logits: Tensor) -> Tensor:
        """What the judge knows of masks (N, M, h4, w4) beside tokens and features: (N, M, F)."""
        return self.model.judge.describe(logits)[1]

    def _prompts(self, clicks: list[Clicks], earlier: Tensor | None) -> Prompts:
        n, device = len(clicks), self.embedding.pixels.device
        coords = np.zeros((1, n, TRAINED_TOKENS, 2), np.float32)
        labels = np.full((1, n, TRAINED_TOKENS), PAD_LABEL, np.float32)
        for i, row in enumerate(clicks):
            for j, (x, y, label) in enumerate(row):
                coords[0, i, j] = (x * self.inner[0] / self.side, y * self.inner[1] / self.side)
                labels[0, i, j] = label
        none = torch.zeros(1, n, *self.embedding.pixels.shape[-2:], device=device)
        mask = none if earlier is None else earlier[None]
        has = torch.full((1, n, 1), float(earlier is not None), device=device)
        at, kind = torch.from_numpy(coords).to(device), torch.from_numpy(labels).to(device)
        return Prompts(at, kind, mask, has)

    def full(self, logits: Tensor) -> NDArray[np.bool_]:
        """(N, h4, w4) logits to (N, h, w) masks."""
        x = functional.interpolate(
            logits[None], scale_factor=4.0, mode="bilinear", align_corners=False
        )
        x = x[..., : self.inner[1], : self.inner[0]]
        x = functional.interpolate(x, self.size, mode="bilinear", align_corners=False)
        made: NDArray[np.bool_] = (x[0] > 0).cpu().numpy()
        return made


class PointAnswers(NamedTuple):
    """The three answers to an object's point: all (3,), facts (3, F)."""

    first: NDArray[np.float64]  # predicted IoU before the mask was made
    judged: NDArray[np.float64]  # and after
    facts: NDArray[np.float64]
    reached: NDArray[np.float64]


@dataclass
class Tally:
    """Figures of every object asked for."""

    rows: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in FIGURES})
    area: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    answers: list[PointAnswers] = field(default_factory=list)

    def means(self, pick: NDArray[np.bool_]) -> dict[str, float]:
        """Mean of every figure over the picked objects, to four places."""
        return {k: round(float(np.array(v)[pick].mean()), 4) for k, v in self.rows.items()}


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; 0 where both are empty."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def objects_of(photo: Labelled, rules: Validation) -> list[Mask]:
    """Evenly spread over the photo's objects by id, at most as many as the recipe says."""
    rows = [o for o in photo.objects if o.area >= rules.min_object]
    if len(rows) > rules.max_objects:
        at = np.linspace(0, len(rows) - 1, rules.max_objects).round().astype(int)
        rows = [rows[i] for i in at]
    return [photo.ids == o.id for o in rows]


def _box_corners(mask: Mask) -> Clicks:
    h, w = mask.shape
    x, y, bw, bh = cv2.boundingRect(mask.view(np.uint8))
    return [(x / w, y / h, BOX_TOP_LEFT), ((x + bw) / w, (y + bh) / h, BOX_BOTTOM_RIGHT)]


def next_click(made: Mask, true: Mask) -> tuple[float, float, int]:
    """The protocol's correction; without an error, once more the object's deepest pixel."""
    missing, extra = deepest(true & ~made), deepest(made & ~true)
    if missing[2] == extra[2] == 0:
        return (*deepest(true)[:2], FOREGROUND)
    if missing[2] >= extra[2]:
        return (*missing[:2], FOREGROUND)
    return (*extra[:2], BACKGROUND)


def _stability(logits: Tensor) -> Tensor:
    """(N, M): IoU of the mask at logit 1 with the mask at logit -1; 0 where both are empty."""
    inner, outer = ((logits > at).flatten(2).sum(-1) for at in (1.0, -1.0))
    return inner / outer.clamp(min=1)


def measure(asker: Answers, masks: list[Mask], tally: Tally) -> None:
    """All protocols for all objects of one photo."""
    boxes = asker.full(asker.ask([_box_corners(m) for m in masks])[0][:, 0])
    clicks: list[Clicks] = [[(*deepest(m)[:2], FOREGROUND)] for m in masks]
    logits, predicted = asker.ask(clicks)
    best = predicted[:, 1:].argmax(-1) + 1
    each = torch.arange(len(masks), device=best.device)
    low, sure = logits[each, best], predicted[each, best].tolist()
    answers = np.stack([asker.full(logits[:, k]) for k in range(1, logits.shape[1])])
    scores = asker.first_scores(clicks)[:, 1:].cpu().double().numpy()
    facts = asker.facts(logits[:, 1:]).cpu().double().numpy()
    judged = predicted[:, 1:].cpu().double().numpy()
    first = scores.argmax(-1)
    stable = _stability(logits[:, 1:]).argmax(-1).cpu().numpy()
    point = answers[best.cpu().numpy() - 1, np.arange(len(masks))]
    made = point
    for _ in range(2):
        for row, got, true in zip(clicks, made, masks, strict=True):
            row.append(next_click(got, true))
        low = asker.ask(clicks, low)[0][:, 0]
        made = asker.full(low)
    for i, true in enumerate(masks):
        reached = iou(point[i], true)
        tally.rows["box"].append(iou(boxes[i], true))
        tally.rows["point"].append(reached)
        each_iou = [iou(a[i], true) for a in answers]
        tally.answers.append(PointAnswers(scores[i], judged[i], facts[i], np.array(each_iou)))
        tally.rows["point_scored"].append(each_iou[first[i]])
        tally.rows["point_stable"].append(each_iou[stable[i]])
        tally.rows["point_best"].append(max(each_iou))
        tally.rows["clicks3"].append(iou(made[i], true))
        tally.rows["iou_error"].append(abs(sure[i] - reached))
        tally.area.append(float(true.mean()) * _COCO_PIXELS)
        tally.predicted.append(sure[i])


def summarise(tally: Tally) -> dict[str, float | dict[str, float]]:
    """Means over all objects, per size, per group of sources, and the calibration error."""
    area, names = np.array(tally.area), np.array(tally.source)
    coco = np.char.startswith(names, "coco_")
    groups = {n: (area >= a) & (area < b) for n, (a, b) in _SIZES.items()}
    groups |= {"coco_train": names == "coco_train_tiny", "coco": coco, "other": ~coco}
    out: dict[str, float | dict[str, float]] = dict(tally.means(np.ones(len(area), bool)))
    for name, pick in groups.items():
        if pick.any():
            out[name] = {"objects": int(pick.sum()), **tally.means(pick)}
    out["calibration_error"] = round(
        calibration_error(np.array(tally.predicted), np.array(tally.rows["point"])), 4
    )
    out["objects"] = len(area)
    return out


@torch.no_grad()
def examine(model: PocketSAM, split: Split, recipe: Recipe, device: torch.device) -> Tally:
    """All figures of every object of the validation part; the model is in eval mode."""
    rules, tally = recipe.validation, Tally()
    for name, entries in split.validation.items():
        for entry in entries[: rules.max_photos]:
            _one_photo(model, entry, rules, device, tally)
            tally.source += [name] * (len(tally.area) - len(tally.source))
    return tally


def validate(model: PocketSAM, split: Split, recipe: Recipe, device: torch.device) -> Figures:
    """Mean figures of a model in eval mode on the validation part; empty without any object."""
    tally = examine(model, split, recipe, device)
    if not tally.area:
        return {}
    out = summarise(tally)
    log.info("validation %s", out)
    return out


def _one_photo(
    model: PocketSAM, entry: Entry, rules: Validation, device: torch.device, tally: Tally
) -> None:
    photo = decode(entry)
    masks = objects_of(photo, rules)
    if not masks:
        return
    square, nw, nh = letterbox(photo.image, rules.side)
    embedding = model.encoder(to_input(torch.from_numpy(square)[None], device)).cut((nw, nh))
    h, w = photo.ids.shape
    measure(Asker(model, embedding, rules.side, (nw, nh), (h, w)), masks, tally)
