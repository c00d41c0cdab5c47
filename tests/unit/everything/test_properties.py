"""What holds for every picture and every threshold, however it is computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

import edgesam_rt as es
from edgesam_rt.everything import grid
from edgesam_rt.imaging import rle
from edgesam_rt.imaging.masks import box_iou, nms
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.types import F32, U8, AnyArray
from tests.oracles import amg, shapes
from tests.oracles.made_up import SIDE, Answer, MadeUp, encode, patch

THRESHOLDS = st.floats(0, 1)
LOOSE = amg.Options(
    points_per_side=6, pred_iou_thresh=0.2, stability_score_thresh=0.4, first_look_thresh=0.2
)


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[F32, F32]:
    """Up to 40 boxes of whole pixels, some of them equal, with scores, some of them equal."""
    corner, size = st.integers(0, 30), st.integers(1, 20)
    drawn = draw(st.lists(st.tuples(corner, corner, size, size, st.integers(0, 9)), max_size=40))
    boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in drawn]
    scores = [score / 10 for *_, score in drawn]
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


# Suppression


@given(scored_boxes(), THRESHOLDS)
def test_suppressing_twice_is_suppressing_once(made: tuple[F32, F32], thresh: float) -> None:
    boxes, scores = made
    kept = nms(boxes, scores, thresh)
    again = nms(boxes[kept], scores[kept], thresh)
    assert again.tolist() == list(range(len(kept)))


@given(scored_boxes(), THRESHOLDS)
def test_no_two_that_are_left_overlap_more_than_they_may(
    made: tuple[F32, F32], thresh: float
) -> None:
    boxes, scores = made
    kept = boxes[nms(boxes, scores, thresh)]
    overlaps = box_iou(kept, kept) - np.eye(len(kept))
    assert not (overlaps > thresh).any()


@given(scored_boxes(), THRESHOLDS)
def test_all_that_went_overlap_a_better_one_that_stayed(
    made: tuple[F32, F32], thresh: float
) -> None:
    boxes, scores = made
    kept = nms(boxes, scores, thresh)
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        rivals = kept[scores[kept] >= scores[gone]]
        assert (box_iou(boxes[[gone]], boxes[rivals]) > thresh).any()


@given(scored_boxes(), THRESHOLDS)
def test_suppression_is_that_of_the_oracle(made: tuple[F32, F32], thresh: float) -> None:
    boxes, scores = made
    plain = [tuple(int(v) for v in box) for box in boxes]
    assert nms(boxes, scores, thresh).tolist() == shapes.suppressed(plain, scores.tolist(), thresh)


@given(scored_boxes(), THRESHOLDS, st.randoms(use_true_random=False))
def test_the_order_of_candidates_matters_only_among_equals(
    made: tuple[F32, F32], thresh: float, random: object
) -> None:
    boxes, _ = made
    scores = np.linspace(0, 1, len(boxes)).astype(np.float32)  # no two alike
    order = np.array(sorted(range(len(boxes)), key=lambda _: random.random()), np.int64)  # type: ignore[attr-defined]
    kept = nms(boxes, scores, thresh).tolist()
    assert order[nms(boxes[order], scores[order], thresh)].tolist() == kept


# Run lengths


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back_as_the_mask(h: int, w: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < share
    runs = rle.run_lengths(mask)
    assert (rle.from_runs(runs, (h, w)) == mask).all()
    assert runs.tolist() == shapes.run_lengths(mask).tolist()
    text = rle.compress(runs)
    assert rle.decompress(text).tolist() == runs.tolist()
    assert text == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


# Permuting the points of the grid


def key(found: list[amg.Found]) -> list[tuple[object, ...]]:
    """What was found, whatever the order."""
    return sorted((f.point, f.box, f.predicted_iou, f.runs.tobytes()) for f in found)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_points_changes_nothing_by_hand(random: object) -> None:
    def rule(x: float, y: float) -> Answer:
        left, top = int(x) // 2, int(y) // 2
        score = 0.9 + (x + 3 * y) / 10_000  # no two alike
        return Answer(patch((left, top, min(left + 24, SIDE), min(top + 30, SIDE))), score)

    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    points = amg.grid(0, LOOSE)
    shuffled = np.array(sorted(points.tolist(), key=lambda _: random.random()))  # type: ignore[attr-defined]
    found = [
        amg.generate(MadeUp(rule), encode, pixels, replace(LOOSE, point_grids=[p]))
        for p in (points, shuffled)
    ]
    assert 1 < len(found[0]) < len(points)
    assert key(found[0]) == key(found[1])


@pytest.fixture(scope="module")
def embedding(small_encoder: Encoder, car: U8) -> Embedding:
    return small_encoder.encode(car)


def test_the_order_of_points_changes_nothing_on_a_photo(
    decoder: Decoder, embedding: Embedding
) -> None:
    def asked(points: AnyArray) -> list[amg.Found]:
        options = replace(LOOSE, point_grids=[points])
        pixels = np.zeros((*embedding.image_hw, 3), np.uint8)
        return amg.generate(decoder, lambda _: embedding, pixels, options)

    points = amg.grid(0, LOOSE)
    found = asked(points)
    again = asked(np.random.default_rng(0).permutation(points))
    assert len(found) > 3
    assert [f.point for f in found] == [f.point for f in again]
    h, w = embedding.image_hw
    for a, b in zip(found, again, strict=True):
        assert abs(a.predicted_iou - b.predicted_iou) < 1e-4  # batches round differently
        masks = [shapes.mask_of(f.runs, (h, w)) for f in (a, b)]
        assert (masks[0] != masks[1]).mean() < 1e-3


def test_the_grid_is_that_of_the_oracle() -> None:
    for n in (1, 5, 32):
        plain = amg.grid(0, amg.Options(points_per_side=n)) * np.array([400, 300])
        np.testing.assert_allclose(grid.points(n, (300, 400)), plain, rtol=1e-6)


# What the runtime finds


def test_nothing_that_it_finds_overlaps_more_than_it_may(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    for thresh in (0.3, 0.7):
        found = small_segmenter.everything(
            embedding,
            points_per_side=8,
            pred_iou_thresh=0.2,
            stability_score_thresh=0.3,
            box_nms_thresh=thresh,
        )
        overlaps = box_iou(found.boxes_xyxy, found.boxes_xyxy) - np.eye(len(found))
        assert len(found) > 1
        assert overlaps.max() <= thresh + 0.05  # boxes may be decided on low-resolution cells
        kept = nms(found.boxes_xyxy, found.predicted_iou, thresh + 0.05)
        assert len(kept) == len(found)
