"""How many true boxes a detector finds, whatever their class.

Photos with id maps (`NAME.webp` beside `NAME.png`, 0 = unlabelled) give the truth: the tight box of
every id. Labels need not be exhaustive, so precision is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgesam_engines.errors import CalibrationError
from edgesam_rt.imaging.files import read_image
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.types import F32, F64, U8

IOUS = np.arange(0.5, 0.96, 0.05)  # COCO's ten


@dataclass(frozen=True)
class Truth:
    """A photo with true boxes.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        xyxy: (T, 4) tight boxes, right and bottom exclusive, px.
    """

    pixels: U8
    xyxy: F32


def photos(folders: Sequence[Path]) -> list[Path]:
    """Photos of some folders that have an id map, sorted within each.

    Raises:
        CalibrationError: a folder has none.
    """
    found = []
    for folder in folders:
        of_folder = sorted(p for p in folder.glob("*.webp") if p.with_suffix(".png").is_file())
        if not of_folder:
            raise CalibrationError(
                f"truth {folder}: no photos NAME.webp with an id map NAME.png beside them."
            )
        found += of_folder
    return found


def truths(paths: Sequence[Path]) -> Iterator[Truth]:
    """Read photos and the boxes of their ids.

    Raises:
        CalibrationError: an id map cannot be read.
    """
    for path in paths:
        ids = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
        if ids is None:
            raise CalibrationError(f"truth {path.with_suffix('.png')}: cannot be read.")
        yield Truth(read_image(path), boxes_of_ids(np.asarray(ids)))


def boxes_of_ids(ids: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> F32:
    """Tight boxes of all ids but 0, (T, 4)."""
    rows, columns = np.nonzero(ids)
    names, which = np.unique(ids[rows, columns], return_inverse=True)
    made = np.zeros((len(names), 4), np.float32)
    made[:, :2] = np.inf
    np.minimum.at(made, (which, 0), columns)
    np.minimum.at(made, (which, 1), rows)
    np.maximum.at(made, (which, 2), columns + 1)
    np.maximum.at(made, (which, 3), rows + 1)
    return made


def best_ious(wanted: F32, found: F32) -> F64:
    """IoU of each wanted box with the found box it is paired with; each box serves once.

    Pairs are made by falling IoU.

    Args:
        wanted: (T, 4).
        found: (K, 4).

    Returns:
        (T,) 0 where nothing is left to pair with.
    """
    out = np.zeros(len(wanted))
    ious = box_iou(wanted, found)
    while ious.size and (best := ious.max()) > 0:
        i, j = np.unravel_index(ious.argmax(), ious.shape)
        out[i] = best
        ious[i], ious[:, j] = 0, 0
    return out


def average_recall(ious: F64) -> float:
    """Mean over COCO's IoU thresholds of the portion of true boxes found."""
    return float(np.mean([np.mean(ious >= t - 1e-9) for t in IOUS])) if len(ious) else 0.0
