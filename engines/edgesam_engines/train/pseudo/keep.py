"""Which masks are good enough to train on."""

from __future__ import annotations

import numpy as np

from edgesam_engines.train.pseudo.config import Keep
from edgesam_engines.train.pseudo.refine import refine
from edgesam_engines.train.pseudo.teacher import Proposal, Scores
from edgesam_engines.train.sources import Image

LIMITS = ("trust", "predicted_iou", "stability", "flip_iou", "jitter_iou", "box_iou", "colour_iou")


def is_good(scores: Scores, rules: Keep) -> bool:
    """Whether every score reaches its limit."""
    return all(getattr(scores, name) >= getattr(rules, name) for name in LIMITS)


def good_proposals(image: Image, proposals: list[Proposal], rules: Keep) -> list[Proposal]:
    """Those whose scores and areas suffice, refined by the photo's colours, in their order."""
    likely = [p for p in proposals if p.mask.any() and is_good(p.scores, rules)]
    refined = [refine(image, p) for p in likely]
    return [p for p in refined if is_good(p.scores, rules) and is_large(p, rules)]


def is_large(proposal: Proposal, rules: Keep) -> bool:
    """Whether there is enough of it; an empty mask never is."""
    return bool(proposal.mask.any() and np.mean(proposal.mask) >= rules.min_area)
