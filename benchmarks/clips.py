"""Frames of clips that have a true mask per frame, as photos to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgesam_rt.bench.coco import MIN_AREA, Photo
from edgesam_rt.errors import ConfigError

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
        self._masks = sorted(folder.glob(f"*{MASKS}"))[:limit]
        if not self._masks:
            raise ConfigError(f"{folder}: expected clips NAME.mp4 with folders NAME{MASKS}.")

    def __len__(self) -> int:
        """How many frames are judged."""
        return sum(min(FRAMES, len(list(m.glob("*.png")))) for m in self._masks)

    def __iter__(self) -> Iterator[Photo]:
        """One frame after another; its objects may be none."""
        for masks in self._masks:
            files = sorted(masks.glob("*.png"))
            wanted = {len(files) * i // FRAMES for i in range(FRAMES)}
            clip = masks.with_name(masks.name.removesuffix(MASKS) + ".mp4")
            video = cv2.VideoCapture(str(clip))
            for i, file in enumerate(files):
                read, frame = video.read()
                if not read:
                    raise ConfigError(f"{clip}: {len(files)} masks, but only {i} frames.")
                if i in wanted:
                    yield _photo(f"{clip.stem} {file.stem}", frame, file)
            video.release()


def _photo(name: str, frame: cv2.typing.MatLike, file: Path) -> Photo:
    ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if ids is None or ids.shape != frame.shape[:2]:
        raise ConfigError(f"{file}: expected an id map of {frame.shape[:2]}.")
    objects = [ids == value for value in np.unique(ids) if value]
    pixels = np.ascontiguousarray(frame[..., ::-1])
    return Photo(name, pixels.astype(np.uint8), [m for m in objects if m.sum() >= MIN_AREA])
