"""The rules of a round of self-training: every number, decoded strictly from one TOML file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgesam_engines.train.config import RecipeError, read_strictly

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$")]  # of a folder; no path


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and an unknown key is an error."""


class Detect(_Strict, frozen=True):
    """Which boxes of the detector are asked for."""

    score: Share  # objectness times class
    nms: Share  # boxes of one class with a larger IoU are one object
    max_boxes: AtLeastOne  # per photo, the best
    min_side: Share  # shorter side of a box, in longer sides of the photo


class Views(_Strict, frozen=True):
    """How often the teacher is asked for the same box."""

    side: AtLeastOne  # of the encoder's input, in pixels; a multiple of 32
    jitters: AtLeastOne  # moved boxes beside the exact one
    jitter: Share  # largest move of an edge, in box sides
    stability_offset: Annotated[float, Meta(gt=0.0)]  # logits
    seed: int = 0


class Keep(_Strict, frozen=True):
    """What a mask needs; each is in [0, 1] and 0 asks for nothing."""

    trust: Share  # geometric mean of the next four
    predicted_iou: Share  # by the teacher's judge, mean of the views
    stability: Share
    flip_iou: Share  # of the mask with its mirrored view
    jitter_iou: Share  # of the answers to moved boxes with that to the exact one, mean
    box_iou: Share  # of the mask's tight box with the detector's
    colour_iou: Share  # of the mask with what the photo's colours make of it
    min_area: Share  # in areas of the photo


class Merge(_Strict, frozen=True):
    """How the masks of a photo become one id map."""

    same: Share  # masks with a larger IoU are one object
    inside: Share  # a mask with more than this part in a larger one lies on top of it
    visible: Share  # an object of which less is left, by others on top or old labels, is dropped


class Sources(_Strict, frozen=True):
    """What is labelled, by folder names."""

    photos: tuple[Name, ...] = ()  # of `photos/`: new labels
    masks: tuple[Name, ...] = ()  # of `masks/`: more objects beside the labels there


class Rules(_Strict, frozen=True):
    """A whole round."""

    name: str
    detector: str  # file below the data folder's `weights/`
    detect: Detect
    views: Views
    keep: Keep
    merge: Merge
    sources: Sources


def load_rules(path: Path) -> Rules:
    """Read and check the rules.

    Raises:
        RecipeError: naming the file and the key that is unknown, missing or out of range.
    """
    rules = read_strictly(path, Rules)
    if rules.views.side % 32:
        raise RecipeError(f"{path}: views.side: {rules.views.side} is not a multiple of 32")
    return rules


def rules_hash(rules: Rules) -> str:
    """Twelve hex digits that change with any number that a label depends on."""
    parts = {k: v for k, v in msgspec.to_builtins(rules).items() if k not in ("name", "sources")}
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:12]
