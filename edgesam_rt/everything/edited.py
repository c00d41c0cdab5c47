"""Masks that are no longer what their logits say: moved from a crop, or cleaned of specks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgesam_rt.imaging import rle
from edgesam_rt.records import MaskSet
from edgesam_rt.types import F32, I64, AnyArray, Bool


@dataclass(frozen=True, eq=False)
class EditedMaskSet(MaskSet):
    """A MaskSet whose masks are given as run lengths.

    `low_res_logits` are those the masks were made from, in the frame that they were made in.

    Attributes:
        edited_runs: run lengths of every mask at picture size, see `imaging.rle`.
        known_stability: (K,) as it was before the edit.
        crop_boxes: (K, 4) px, the part of the picture each mask was found in; empty if the whole.
    """

    edited_runs: tuple[I64, ...] = ()
    known_stability: F32 | None = None
    crop_boxes: F32 | None = None

    @property
    def runs(self) -> tuple[I64, ...]:
        """Run lengths of every mask, column by column, zeros first."""
        return self.edited_runs

    @property
    def stability_score(self) -> F32:
        """(K,) of the masks before they were edited."""
        known = self.known_stability
        return np.zeros(0, np.float32) if known is None else known

    def each_mask(self) -> Iterator[Bool]:
        """One (H, W) mask after another; holds one at a time."""
        return (rle.from_runs(runs, self.image_hw) for runs in self.edited_runs)

    def __getitem__(self, index: int | slice | AnyArray) -> EditedMaskSet:
        """Some of the masks; index by int, slice, bool or int array."""
        pick = np.arange(len(self))[index].reshape(-1)
        return replace(
            self,
            low_res_logits=self.low_res_logits[pick],
            predicted_iou=self.predicted_iou[pick],
            point_coords=self.point_coords[pick],
            edited_runs=tuple(self.edited_runs[i] for i in pick.tolist()),
            known_stability=_some(self.known_stability, pick),
            crop_boxes=_some(self.crop_boxes, pick),
        )


def _some(values: F32 | None, pick: I64) -> F32 | None:
    return None if values is None else values[pick]
