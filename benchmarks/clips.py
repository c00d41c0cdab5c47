"""Frames of clips that have a true mask per frame, as photos to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgesam_rt.bench.coco import MIN_AREA, Photo
from edgesam_rt.errors import ConfigError
from edgesam_rt.types import U8, AnyArray

MASKS = "_masks"  # behind a clip's name: the folder of its masks, NNNNN.png per frame
FRAMES = 20  # judged per clip, evenly spread


class MaskedClips:
    """Clips `NAME.mp4` with `NAME_masks/NNNNN.png`: 0 is background, each other id one object."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Find the clips.

        Args:
            folder: where they lie.
            limit: only the first clips.

        Raises:
            ConfigError: it has none.
        """
        self._masks = mask_folders(folder)[:limit]

    def __len__(self) -> int:
        """How many frames are judged."""
        return sum(min(FRAMES, len(list(m.glob("*.png")))) for m in self._masks)

    def __iter__(self) -> Iterator[Photo]:
        """One frame after another; its objects may be none."""
        for masks in self._masks:
            count = len(list(masks.glob("*.png")))
            wanted = {count * i // FRAMES for i in range(FRAMES)}
            for i, (pixels, ids) in enumerate(frames(masks)):
                if i in wanted:
                    objects = [ids == value for value in np.unique(ids) if value]
                    kept = [m for m in objects if m.sum() >= MIN_AREA]
                    yield Photo(f"{clip_of(masks).stem} {i:05d}", pixels, kept)


def mask_folders(folder: Path) -> list[Path]:
    """The folders of masks that lie beside their clips.

    Raises:
        ConfigError: there is none.
    """
    found = sorted(folder.glob(f"*{MASKS}"))
    if not found:
        raise ConfigError(f"{folder}: expected clips NAME.mp4 with folders NAME{MASKS}.")
    return found


def clip_of(masks: Path) -> Path:
    """The clip that a folder of masks belongs to."""
    return masks.with_name(masks.name.removesuffix(MASKS) + ".mp4")


def frames(masks: Path) -> Iterator[tuple[U8, AnyArray]]:
    """All frames of a clip, (H, W, 3) RGB, each with its map of ids (H, W).

    Raises:
        ConfigError: the clip is shorter than its masks, or a mask is of another size.
    """
    files, clip = sorted(masks.glob("*.png")), clip_of(masks)
    video = cv2.VideoCapture(str(clip))
    for i, file in enumerate(files):
        read, frame = video.read()
        if not read:
            raise ConfigError(f"{clip}: {len(files)} masks, but only {i} frames.")
        ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if ids is None or ids.shape != frame.shape[:2]:
            raise ConfigError(f"{file}: expected an id map of {frame.shape[:2]}.")
        yield np.ascontiguousarray(frame[..., ::-1]).astype(np.uint8), ids
    video.release()
