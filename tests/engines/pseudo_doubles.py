"""Rules, detector and teacher for the tests of the self-training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edgesam_engines.train.pseudo.config import Keep, Rules, Sources, load_rules
from edgesam_engines.train.pseudo.detector import Detection
from edgesam_engines.train.pseudo.label import Labeller
from edgesam_engines.train.pseudo.teacher import Proposal, Scores
from edgesam_engines.train.sources import Image
from edgesam_engines.train.validate import Mask
from edgesam_rt.types import F32
from tests.engines.train_doubles import COMMITTED

RULES = COMMITTED.with_name("pseudo.toml")
SURE = Scores(0.9, 0.95, 0.95, 0.95, 0.95, 0.9)
KEEP_ALL = Keep(0, 0, 0, 0, 0, 0, 0, 0)


def rules(**changes: object) -> Rules:
    """The committed rules, with whole sections replaced."""
    return msgspec.structs.replace(load_rules(RULES), **changes)


def proposal(mask: Mask, trust: float = 0.95, name: str = "cat") -> Proposal:
    """A mask whose scores are all `trust`."""
    h, w = mask.shape
    found = Detection((0, 0, float(w), float(h)), 0.9, name)
    return Proposal(mask, to_logits(mask), Scores(0.9, *[trust] * 5), found)


def to_logits(mask: Mask) -> F32:
    """Of a teacher that is sure of the mask."""
    return np.where(mask, 5, -5).astype(np.float32)


def rectangle(shape: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> Mask:
    """True from the upper left to the lower right, exclusive."""
    mask = np.zeros(shape, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


class FixedDetector:
    """Finds one thing in the upper left quarter of every photo; counts how often it was asked."""

    sha256 = "detector"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: Image) -> list[Detection]:
        self.asked += 1
        h, w = image.shape[:2]
        return [Detection((0.0, 0.0, w / 2, h / 2), 0.8, "dog")]


class FixedTeacher:
    """Takes the box itself for the mask."""

    def __init__(self, sha256: str = "teacher") -> None:
        self.sha256 = sha256

    def propose(self, image: Image, found: list[Detection], seed: int) -> list[Proposal]:
        h, w = image.shape[:2]
        masks = [rectangle((h, w), *(round(v) for v in d.box_xyxy)) for d in found]
        return [Proposal(m, to_logits(m), SURE, d) for m, d in zip(masks, found, strict=True)]


def labeller(rules_: Rules, *, teacher: str = "teacher") -> tuple[Labeller, FixedDetector]:
    """A labeller of doubles."""
    detector = FixedDetector()
    return Labeller(detector, FixedTeacher(teacher), rules_), detector  # type: ignore[arg-type]


def write_unlabelled(
    root: Path, name: str = "plain", count: int = 3, licence: str = "MIT (repo LICENSE)"
) -> Sources:
    """Photos of noise with their terms."""
    folder = root / "photos" / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    meta = {}
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:04}.webp"), rng.integers(0, 255, (60, 80, 3), np.uint8))
        meta[f"{name}/{i:04}.webp"] = {"repo": "some/one", "commit": "abc", "licence": licence}
    (root / "photos" / "meta.json").write_text(json.dumps(meta))
    return Sources(photos=(name,))
