"""Masks for boxes by an earlier PocketSAM, each asked for several times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgesam_engines.checkpoints import read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.pocketsam import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    PAD_LABEL,
    TRAINED_TOKENS,
    PocketSAM,
    Prompts,
)
from edgesam_engines.train.network import model_of, to_input
from edgesam_engines.train.pseudo.config import Views
from edgesam_engines.train.pseudo.detector import Detection
from edgesam_engines.train.sources import Image
from edgesam_engines.train.validate import Mask, iou, letterbox
from edgesam_rt.imaging.masks import box_iou, stability_scores
from edgesam_rt.types import F32

_VIEWS = 2  # as it is, mirrored
_ASKED_AT_ONCE = 24  # prompts a view; bounds the memory


class Scores(NamedTuple):
    """What speaks for a mask; all in [0, 1]."""

    detector: float
    predicted_iou: float
    stability: float
    flip_iou: float
    jitter_iou: float
    box_iou: float
    colour_iou: float = 1.0  # of the mask with what the colours say; set by `refine`

    @property
    def trust(self) -> float:
        """Geometric mean of what the teacher says of its own mask; the detector has no say."""
        own = self.predicted_iou * self.stability * self.flip_iou * self.jitter_iou
        return float(own**0.25)


@dataclass(frozen=True)
class Proposal:
    """A mask of the photo's size, and where it comes from."""

    mask: Mask
    logits: F32  # (h, w), mean of the views; the mask is where they are above 0
    scores: Scores
    found: Detection


class Teacher:
    """A model and how it is asked."""

    def __init__(self, model: PocketSAM, views: Views, sha256: str = "") -> None:
        self.sha256 = sha256
        self._model = model.eval()
        self._views = views

    @classmethod
    def load(cls, path: Path, views: Views) -> Teacher:
        """From weights as a training exports them.

        Raises:
            CheckpointError: the file is missing or holds no PocketSAM.
        """
        try:
            model = model_of(read_weights(path))
        except (OSError, RuntimeError, KeyError) as error:
            raise CheckpointError(
                f"teacher: {path}: expected a training's weights (its ema.safetensors): {error}"
            ) from error
        return cls(model, views, hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.no_grad()
    def propose(self, image: Image, found: list[Detection], seed: int) -> list[Proposal]:
        """A mask for every box of an RGB photo (h, w, 3); the seed moves the boxes."""
        if not found:
            return []
        side = self._views.side
        square, nw, nh = letterbox(image, side)
        mirror, _, _ = letterbox(np.ascontiguousarray(image[:, ::-1]), side)
        both = torch.from_numpy(np.stack([square, mirror]))
        embedding = self._model.encoder(to_input(both, torch.device("cpu")))
        boxes = moved_boxes(found, image.shape[:2], self._views, seed)
        logits, judged = [], []
        for part in torch.split(torch.from_numpy(boxes).flatten(0, 1), _ASKED_AT_ONCE):
            made, sure = self._model.decode(
                embedding, _to_prompts(part, (nw, nh), side), slice(0, 1)
            )
            logits.append(made[:, :, 0])
            judged.append(sure[:, :, 0].sigmoid())
        low, sure = torch.cat(logits, 1), torch.cat(judged, 1)
        low = low.view(_VIEWS, len(found), -1, *low.shape[-2:])
        predicted = sure.view(_VIEWS, len(found), -1).mean((0, 2)).tolist()
        return [
            self._judge(low[:, i], predicted[i], one, (nw, nh), image.shape[:2])
            for i, one in enumerate(found)
        ]

    def _judge(
        self,
        low: Tensor,
        predicted: float,
        found: Detection,
        inner: tuple[int, int],
        image_hw: tuple[int, ...],
    ) -> Proposal:
        """Logits (_VIEWS, K, h4, w4) of one object to its mask; box 0 of K is the exact one."""
        big = functional.interpolate(low, scale_factor=4.0, mode="bilinear", align_corners=False)
        big = big[..., : inner[1], : inner[0]]
        big = torch.stack([big[0], big[1].flip(-1)])
        cut = (big > 0).numpy()
        jitter = [iou(cut[v, 0], cut[v, k]) for v in range(_VIEWS) for k in range(1, cut.shape[1])]
        plain, mirrored = (mean_logits(view[None]) > 0 for view in big)
        mean = mean_logits(big)
        h, w = image_hw[:2]
        full = cv2.resize(mean, (w, h), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        mask: Mask = full > 0
        scores = Scores(
            found.score,
            predicted,
            float(stability_scores(mean[None], 0.0, self._views.stability_offset)[0]),
            iou(plain, mirrored),
            float(np.mean(jitter)),
            _box_agreement(mask, found),
        )
        return Proposal(mask, full, Scores(*(round(float(s), 4) for s in scores)), found)


def mean_logits(logits: Tensor) -> F32:
    """(V, K, h, w) logits to (h, w), the logit of their mean probability."""
    p = torch.sigmoid(logits).mean((0, 1)).clamp(1e-6, 1 - 1e-6)
    made: F32 = torch.logit(p).numpy()
    return made


def moved_boxes(
    found: list[Detection], image_hw: tuple[int, ...], views: Views, seed: int
) -> NDArray[np.float32]:
    """(N, 1 + jitters, 2, 2) corners in photo sides, [0, 1]; the first of each is the exact box."""
    h, w = image_hw[:2]
    exact = np.array([d.box_xyxy for d in found], np.float32).reshape(-1, 1, 2, 2)
    size = exact[:, :, 1:] - exact[:, :, :1]
    rng = np.random.default_rng([views.seed, seed])
    noise = rng.uniform(-views.jitter, views.jitter, (len(found), views.jitters, 2, 2))
    moved = exact + size * noise.astype(np.float32)
    corners = np.concatenate([exact, moved], 1) / np.array([w, h], np.float32)
    inside: NDArray[np.float32] = corners.clip(0, 1).astype(np.float32)
    return inside


def _to_prompts(boxes: Tensor, inner: tuple[int, int], side: int) -> Prompts:
    """(N, 2, 2) corners in photo sides to prompts for the photo and its mirror image."""
    mirrored = torch.stack([1 - boxes[:, [1, 0], 0], boxes[..., 1]], -1)
    scale = torch.tensor(inner, dtype=torch.float32) / side
    n, low = len(boxes), side // 4
    coords = torch.zeros(_VIEWS, n, TRAINED_TOKENS, 2)
    coords[:, :, :2] = torch.stack([boxes, mirrored]) * scale
    labels = torch.full((_VIEWS, n, TRAINED_TOKENS), float(PAD_LABEL))
    labels[..., 0], labels[..., 1] = BOX_TOP_LEFT, BOX_BOTTOM_RIGHT
    return Prompts(coords, labels, torch.zeros(_VIEWS, n, low, low), torch.zeros(_VIEWS, n, 1))


def _box_agreement(mask: Mask, found: Detection) -> float:
    """IoU of the mask's tight box with the detector's; 0 for an empty mask."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    tight = np.array([[x, y, x + w, y + h]], np.float32)
    return float(box_iou(tight, np.array([found.box_xyxy], np.float32))[0, 0])
