"""What a reader of somebody's data finds, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.sources import StoredIds
from edgesam_rt.imaging.files import is_picture_name
from edgesam_rt.imaging.quiet import quiet_opencv

MIN_AREA = 16  # px of the photo; smaller masks are taken for slips of the mouse
MOST_OBJECTS = 2000  # values of an id map; more mean that it is a photo, or was stored lossily
MaskArray = NDArray[np.bool_]
Masks = Callable[[tuple[int, int], Complaints], Iterator[MaskArray]]


@dataclass(frozen=True)
class Found:
    """A photo and how to get at its masks.

    Attributes:
        name: unique and the same on every machine: the photo's path below the data folder.
        photo: the file.
        masks: gives the (H, W) masks for a photo of (height, width), and complains of the others;
            None where there are none.
    """

    name: str
    photo: Path
    masks: Masks | None


class Reader(Protocol):
    """One form of data."""

    def __iter__(self) -> Iterator[Found]:
        """All photos, sorted by name."""
        ...

    @property
    def complaints(self) -> Complaints:
        """What is wrong so far; more comes while masks are read."""
        ...

    @property
    def files(self) -> list[Path]:
        """All files that the result depends on."""
        ...


def pictures_below(folder: Path) -> list[Path]:
    """All pictures of a folder, sorted; hidden files and folders are passed over."""
    return sorted(
        p
        for p in folder.rglob("*")
        if is_picture_name(p) and not any(s.startswith(".") for s in p.relative_to(folder).parts)
    )


def paint(masks: Sequence[MaskArray], hw: tuple[int, int]) -> tuple[StoredIds, int]:
    """Masks as one id map: larger ones first, so that smaller ones lie on top.

    Returns:
        ids (H, W), and how many masks had less than MIN_AREA pixels left.
    """
    ids = np.zeros(hw, np.uint16)
    ordered = sorted(masks, key=np.count_nonzero, reverse=True)
    for i, mask in enumerate(ordered, 1):
        ids[mask] = i
    areas = np.bincount(ids.ravel(), minlength=len(ordered) + 1)
    hidden = [i for i in range(1, len(ordered) + 1) if areas[i] < MIN_AREA]
    ids[np.isin(ids, hidden)] = 0
    return ids, len(hidden)


def read_raw(path: Path) -> NDArray[np.generic] | None:
    """A mask file as it is stored, (H, W) or (H, W, C); None if it is no picture."""
    with quiet_opencv():
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)


def unlike(got: tuple[int, ...], hw: tuple[int, int]) -> str | None:
    """What is wrong with the size of a mask for a photo of (height, width); None if nothing is."""
    if got[:2] == hw:
        return None
    if got[:2] == hw[::-1]:
        return "mask is turned by 90 degrees against its photo (EXIF; save the photo upright)"
    return "mask has another size than its photo"
