"""Prompts in the shapes that a .tflite file has."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.backends.litert_buckets import Bucket, choose, parts
from edgesam_rt.manifest import TensorSpec

SPECS = [
    TensorSpec(name="point_coords", shape=("prompts", "points", 2), dtype="float32"),
    TensorSpec(name="point_labels", shape=("prompts", "points"), dtype="float32"),
    TensorSpec(name="mask_input", shape=("earlier_masks", 1, 4, 4), dtype="float32"),
]
SAM = [
    Bucket("one", {"prompts": 1, "points": 6, "earlier_masks": 1}),
    Bucket("many points", {"prompts": 1, "points": 33, "earlier_masks": 1}),
    Bucket("few", {"prompts": 4, "points": 6, "earlier_masks": 4}),
    Bucket("everything", {"prompts": 16, "points": 2, "earlier_masks": 1}),
]


@pytest.mark.parametrize(
    ("prompts", "points", "earlier_masks", "wanted"),
    [
        (1, 3, 1, "one"),
        (1, 20, 1, "many points"),
        (3, 5, 1, "few"),
        (3, 2, 3, "few"),
        (16, 2, 1, "everything"),
        (16, 2, 16, "few"),
    ],
)
def test_the_bucket_with_the_least_work_is_taken(
    prompts: int, points: int, earlier_masks: int, wanted: str
) -> None:
    asked = {"prompts": prompts, "points": points, "earlier_masks": earlier_masks}
    found = choose(SAM, asked)
    assert found is not None
    assert found.signature == wanted


def test_more_points_than_any_bucket_has_fit_none() -> None:
    assert choose(SAM, {"prompts": 1, "points": 34, "earlier_masks": 1}) is None


@pytest.mark.parametrize("filler", [-1, -2])
def test_missing_points_have_the_label_that_counts_for_nothing_to_this_decoder(filler: int) -> None:
    feeds = {
        "point_coords": np.full((2, 2, 2), 7, np.float32),
        "point_labels": np.array([[1, -1], [2, 3]], np.float32),
        "mask_input": np.zeros((1, 1, 4, 4), np.float32),
    }
    ((count, part),) = parts(SPECS, feeds, SAM[2], 2, filler)
    assert count == 2
    assert part["point_labels"][0].tolist() == [1, -1, *[filler] * 4]
    assert part["point_labels"][1].tolist() == [2, 3, *[filler] * 4]
    assert part["point_coords"].shape == (4, 6, 2)
    assert part["mask_input"].shape == (4, 1, 4, 4)
