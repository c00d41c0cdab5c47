"""Clips with a mask per frame, as photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.clips import FRAMES, MaskedClips
from edgesam_rt.errors import ConfigError


def write_clip(folder: Path, name: str, frames: int, masks: int) -> None:
    """A clip whose frame i is grey 40 + 4 i, with a mask of one square per frame."""
    out = cv2.VideoWriter(
        str(folder / f"{name}.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48)
    )
    for i in range(frames):
        out.write(np.full((48, 64, 3), 40 + 4 * i, np.uint8))
    out.release()
    (folder / f"{name}_masks").mkdir()
    for i in range(masks):
        ids = np.zeros((48, 64), np.uint8)
        ids[:20, :20] = 1
        ids[30:32, 30:32] = 2  # too small to be judged
        cv2.imwrite(str(folder / f"{name}_masks" / f"{i:05}.png"), ids)


def test_frames_are_spread_over_each_clip_and_belong_to_their_masks(tmp_path: Path) -> None:
    write_clip(tmp_path, "long", 40, 40)
    write_clip(tmp_path, "short", 5, 5)
    clips = MaskedClips(tmp_path)
    photos = list(clips)
    assert len(photos) == len(clips) == FRAMES + 5
    assert photos[1].name == "long 00002"
    assert abs(float(photos[1].pixels.mean()) - 48) < 3
    assert [int(m.sum()) for m in photos[1].objects] == [400]


def test_a_clip_with_fewer_frames_than_masks_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path, "cut", 3, 9)
    with pytest.raises(ConfigError, match="9 masks, but only 3 frames"):
        list(MaskedClips(tmp_path))


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="_masks"):
        MaskedClips(tmp_path)
