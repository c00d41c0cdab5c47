"""What engines are asked when they are checked: photos, prompts, true masks where there are any.

A photo with masks beside it (the forms that `train` reads) is asked about its largest objects, by
the pixel deepest inside and by the tight box; any other about a small cross of points and one box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesam_engines import calibrate
from edgesam_engines.recipe import Recipe
from edgesam_engines.train.own.coco import CocoFile
from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.own.folder import MaskFolder
from edgesam_engines.train.own.found import Masks, Reader
from edgesam_rt import selftest
from edgesam_rt.bench import protocols
from edgesam_rt.imaging.files import read_image
from edgesam_rt.proof import probes
from edgesam_rt.records import Prompt
from edgesam_rt.types import U8, Bool

CHECKED_PHOTOS = 24
OBJECTS = 4  # of a photo: its largest
POINT, BOX = "point", "box"


@dataclass(frozen=True, eq=False)
class Case:
    """One photo and what is asked about it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        prompts: what is asked.
        kinds: "point" or "box", prompt by prompt.
        truths: the (H, W) mask that each asks for; empty where nobody knows.
    """

    pixels: U8
    prompts: list[Prompt]
    kinds: list[str]
    truths: list[Bool]


def photos_for(folder: Path | None, recipe: Recipe) -> list[Path]:
    """Photos to check engines on: none of those they were calibrated on."""
    if folder is None:
        return []
    _, rest = calibrate.chosen_photos(folder, recipe.calibration)
    return calibrate.spread(rest, CHECKED_PHOTOS)


def with_masks(
    folder: Path | None, recipe: Recipe, truth: Path | None = None
) -> tuple[list[Path], dict[Path, Masks]]:
    """Photos to check engines on, those with true masks if there are any, and their masks.

    Args:
        folder: of photos; None for the built-in pictures.
        recipe: of the engines: what they were calibrated on is left out.
        truth: folder of masks or COCO's JSON; None looks for masks beside the photos.

    Raises:
        ConfigError, CalibrationError: there is no such folder or file, or no photo in it.
    """
    if folder is None:
        return [], {}
    used, _ = calibrate.chosen_photos(folder, recipe.calibration)
    found = {f.photo: f.masks for f in _reader(folder, truth) if f.masks is not None}
    masked = sorted(found.keys() - {*used}) or sorted(found)
    return calibrate.spread(masked, CHECKED_PHOTOS) or photos_for(folder, recipe), found


def _reader(folder: Path, truth: Path | None) -> Reader:
    if truth is None:
        return MaskFolder(folder)
    return CocoFile(truth, folder) if truth.suffix == ".json" else MaskFolder(truth, folder)


def cases(photos: Sequence[Path], masks: Mapping[Path, Masks]) -> Iterator[Case]:
    """About each photo, or about the built-in pictures if there is none."""
    if not photos:
        yield from map(plain, selftest.pictures())
    for path in photos:
        pixels, known = read_image(path), masks.get(path)
        objects = largest(pixels, known) if known is not None else []
        yield about(pixels, objects) if objects else plain(pixels)


def largest(pixels: U8, masks: Masks) -> list[Bool]:
    """The largest true masks of a photo."""
    hw = (pixels.shape[0], pixels.shape[1])
    return sorted(masks(hw, Complaints()), key=np.count_nonzero, reverse=True)[:OBJECTS]


def about(pixels: U8, objects: Sequence[Bool]) -> Case:
    """About known objects: the deepest pixel and the tight box of each."""
    points = [Prompt.point(*protocols.deepest(m)[:2]) for m in objects]
    boxes = [protocols.tight_box(m) for m in objects]
    kinds = [POINT] * len(points) + [BOX] * len(boxes)
    return Case(pixels, [*points, *boxes], kinds, [*objects, *objects])


def plain(pixels: U8) -> Case:
    """About a picture of which nothing is known."""
    prompts = probes(pixels)
    kinds = [BOX if np.any(p.point_labels > 1) else POINT for p in prompts]
    return Case(pixels, prompts, kinds, [])
