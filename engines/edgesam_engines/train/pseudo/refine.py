"""A second opinion on an outline, by the photo's colours: GrabCut, started from the teacher's mask.

It knows nothing that the teacher knows but the mask, and sees edges at the photo's full resolution,
where the teacher's masks have a quarter of it. So its outline adds something to learn, and where
the two differ much, one of them is wrong.

Source: Rother et al. 2004, "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts".
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from edgesam_engines.train.pseudo.teacher import Proposal
from edgesam_engines.train.sources import Image
from edgesam_engines.train.validate import Mask, iou
from edgesam_rt.types import F32, U8

_SURE, _SURELY_NOT = 1.0, -2.0  # logits of the teacher that the colours may not overrule
_ITERATIONS = 2
_AROUND, _LEAST_AROUND = 0.15, 4  # of the box's side, and pixels: background to learn colours from
_OUTSIDE = 0.03  # of the box's side; farther out is background for certain
_SOFT = 1.5  # pixels; blur of the colours' mask before it is averaged with the teacher's


def refine(image: Image, proposal: Proposal) -> Proposal:
    """The proposal with the mean of the teacher's and the colours' mask, and how they agree.

    Args:
        image: (h, w, 3) RGB.
        proposal: of that photo.

    Returns:
        The same object with another mask and its `colour_iou` set.
    """
    window = _window(image.shape[:2], proposal)
    logits = proposal.logits[window]
    start = _trimap(logits, window, proposal)
    cut = _grab_cut(image[window], start) if _has_both(start) else logits > 0
    inside = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), _SOFT)
    sure = 1 / (1 + np.exp(-logits))
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[window] = inside + sure > 1
    agreed = round(iou(cut, proposal.mask[window]), 4)
    return replace(proposal, mask=mask, scores=proposal.scores._replace(colour_iou=agreed))


def _window(image_hw: tuple[int, ...], proposal: Proposal) -> tuple[slice, slice]:
    """Rows and columns of the box with some background around it."""
    x0, y0, x1, y1 = proposal.found.box_xyxy
    px, py = (_LEAST_AROUND + _AROUND * side for side in (x1 - x0, y1 - y0))
    h, w = image_hw[:2]
    rows = slice(int(max(0, y0 - py)), int(min(h, y1 + py)))
    return rows, slice(int(max(0, x0 - px)), int(min(w, x1 + px)))


def _trimap(logits: F32, window: tuple[slice, slice], proposal: Proposal) -> U8:
    """What GrabCut starts from: four kinds of pixels."""
    start = np.full(logits.shape, cv2.GC_PR_BGD, np.uint8)
    start[logits > 0] = cv2.GC_PR_FGD
    start[logits > _SURE] = cv2.GC_FGD
    start[logits < _SURELY_NOT] = cv2.GC_BGD
    x0, y0, x1, y1 = proposal.found.box_xyxy
    dx, dy = _OUTSIDE * (x1 - x0), _OUTSIDE * (y1 - y0)
    y = np.arange(window[0].start, window[0].stop)[:, None]
    x = np.arange(window[1].start, window[1].stop)
    start[(x < x0 - dx) | (x > x1 + dx) | (y < y0 - dy) | (y > y1 + dy)] = cv2.GC_BGD
    return start


def _is_front(kinds: U8) -> Mask:
    front: Mask = (kinds == cv2.GC_FGD) | (kinds == cv2.GC_PR_FGD)
    return front


def _has_both(start: U8) -> bool:
    """GrabCut needs colours of the object and of what is not."""
    return 0 < int(_is_front(start).sum()) < start.size


def _grab_cut(image: Image, start: U8) -> Mask:
    cv2.setRNGSeed(0)  # its first clusters of colours are drawn
    kinds, models = start.copy(), [np.zeros((1, 65)) for _ in range(2)]
    bgr = np.ascontiguousarray(image[..., ::-1])
    cv2.grabCut(bgr, kinds, None, *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return _is_front(kinds)
