"""One id map of many masks: what holds for any masks, and the order of those that overlap."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import cv2
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_engines.train.pseudo.config import Keep, Merge
from edgesam_engines.train.pseudo.detector import Detection
from edgesam_engines.train.pseudo.keep import good_proposals, is_good
from edgesam_engines.train.pseudo.merge import merge, paint_order
from edgesam_engines.train.pseudo.refine import refine
from edgesam_engines.train.pseudo.teacher import Proposal
from edgesam_engines.train.validate import iou
from tests.engines.pseudo_doubles import KEEP_ALL, SURE, proposal, rectangle

pytestmark = pytest.mark.torch
SHAPE = (24, 30)
MERGE = Merge(same=0.6, inside=0.8, visible=0.6)
NONE = np.zeros(SHAPE, np.uint16)


@st.composite
def rectangles(draw: st.DrawFn) -> np.ndarray:
    x, y = draw(st.integers(0, SHAPE[1] - 2)), draw(st.integers(0, SHAPE[0] - 2))
    w, h = draw(st.integers(1, SHAPE[1])), draw(st.integers(1, SHAPE[0]))
    return rectangle(SHAPE, x, y, x + w, y + h)


@st.composite
def photos(draw: st.DrawFn) -> tuple[np.ndarray, list[Proposal]]:
    labelled = NONE.copy()
    for mask in draw(st.lists(rectangles(), max_size=3)):
        labelled[mask] = draw(st.sampled_from([1, 2, 7, 300]))
    trust = st.integers(0, 100).map(lambda n: n / 100)
    return labelled, [proposal(m, draw(trust)) for m in draw(st.lists(rectangles(), max_size=6))]


@settings(max_examples=200, deadline=None)
@given(photos())
def test_labels_keep_their_pixels_and_new_objects_get_ids_of_their_own(
    photo: tuple[np.ndarray, list[Proposal]],
) -> None:
    labelled, proposals = photo
    before = labelled.copy()
    made, kept = merge(labelled, proposals, MERGE)
    assert (labelled == before).all()
    assert (made[before > 0] == before[before > 0]).all()
    first = int(before.max()) + 1
    assert set(np.unique(made[before == 0])) - {0} == {first + i for i in range(len(kept))}
    for i, one in enumerate(kept):
        assert one.mask[made == first + i].all()
        assert (made == first + i).sum() >= MERGE.visible * one.mask.sum()


@settings(max_examples=200, deadline=None)
@given(photos())
def test_no_two_objects_are_the_same(photo: tuple[np.ndarray, list[Proposal]]) -> None:
    labelled, proposals = photo
    kept = merge(labelled, proposals, MERGE)[1]
    old = [labelled == v for v in np.unique(labelled) if v]
    for i, one in enumerate(kept):
        assert all(iou(one.mask, other.mask) <= MERGE.same for other in kept[:i])
        assert all(iou(one.mask, other) <= MERGE.same for other in old)


@settings(max_examples=200, deadline=None)
@given(st.lists(rectangles(), max_size=7))
def test_a_mask_inside_a_larger_one_lies_on_top_of_it(masks: list[np.ndarray]) -> None:
    order = paint_order(masks, 0.8)
    assert sorted(order) == list(range(len(masks)))
    for low, i in enumerate(order):
        for j in order[low + 1 :]:
            shared = (masks[i] & masks[j]).sum()
            assert not (masks[i].sum() < masks[j].sum() and shared > 0.8 * masks[i].sum())


def test_of_masks_that_overlap_in_part_the_surer_one_has_the_pixels() -> None:
    left, right = rectangle(SHAPE, 0, 0, 12, 10), rectangle(SHAPE, 9, 0, 22, 10)
    made, kept = merge(NONE, [proposal(left, 0.7), proposal(right, 0.9)], MERGE)
    assert [p.scores.trust for p in kept] == pytest.approx([0.9, 0.7])
    assert (made[right] == 1).all()
    assert (made == 2).sum() == 90


def test_of_two_masks_of_one_object_the_surer_one_stays() -> None:
    one, again = rectangle(SHAPE, 0, 0, 12, 10), rectangle(SHAPE, 1, 0, 12, 10)
    kept = merge(NONE, [proposal(one, 0.7), proposal(again, 0.9)], MERGE)[1]
    assert [p.mask.sum() for p in kept] == [110]


def test_an_object_that_has_a_label_is_not_added_again() -> None:
    labelled = NONE.copy()
    labelled[rectangle(SHAPE, 0, 0, 12, 10)] = 5
    inside = proposal(rectangle(SHAPE, 2, 2, 6, 6))
    again = proposal(rectangle(SHAPE, 1, 0, 12, 10))
    made, kept = merge(labelled, [inside, again], MERGE)
    assert not kept
    assert (made == labelled).all()


def test_a_mask_that_others_cover_is_dropped_and_uncovers_what_it_hid() -> None:
    wide = proposal(rectangle(SHAPE, 0, 0, 30, 4), 0.8)
    parts = [proposal(rectangle(SHAPE, x, 0, x + 9, 4), 0.9) for x in (0, 9, 18)]
    kept = merge(NONE, [wide, *parts], MERGE)[1]
    assert [p.mask.sum() for p in kept] == [36, 36, 36]


def test_every_score_has_its_own_limit() -> None:
    assert is_good(SURE, KEEP_ALL)
    assert is_good(SURE, Keep(0.95, 0.95, 0.95, 0.95, 0.95, 0.9, 1, 0))
    for i in range(7):
        limits = [0.0] * 8
        limits[i] = 0.96
        assert is_good(SURE, Keep(*limits)) == (i == 6)
    assert not is_good(SURE._replace(colour_iou=0.9), Keep(*limits))


def test_an_empty_or_tiny_mask_is_not_kept() -> None:
    image = np.zeros((*SHAPE, 3), np.uint8)
    tiny, empty = rectangle(SHAPE, 0, 0, 2, 2), np.zeros(SHAPE, np.bool_)
    assert not good_proposals(image, [proposal(empty)], KEEP_ALL)
    assert len(good_proposals(image, [proposal(tiny)], KEEP_ALL)) == 1
    assert not good_proposals(
        image, [proposal(tiny)], msgspec.structs.replace(KEEP_ALL, min_area=0.02)
    )


def disc_photo() -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on dark noise, and where it is."""
    image = np.random.default_rng(0).integers(20, 60, (80, 90, 3), np.uint8)
    disc = cv2.circle(np.zeros((80, 90), np.uint8), (45, 40), 25, 1, -1) > 0
    image[disc] += 150
    return image, disc


def unsure_of(mask: np.ndarray) -> Proposal:
    """A proposal that is unsure within some pixels of its outline."""
    depth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3) - 0.5
    found = Detection((18.0, 13.0, 73.0, 68.0), 0.9, "sports ball")
    return Proposal(depth > 0, depth * 8, SURE, found)


def test_colours_move_an_outline_to_the_edge_it_nearly_met() -> None:
    image, disc = disc_photo()
    rough = unsure_of(cv2.circle(np.zeros(disc.shape, np.uint8), (47, 42), 25, 1, -1) > 0)
    better = refine(image, rough)
    assert iou(rough.mask, disc) < 0.9
    assert iou(better.mask, disc) > iou(rough.mask, disc) + 0.02
    assert 0.8 < better.scores.colour_iou < 0.95
    assert refine(image, unsure_of(disc)).scores.colour_iou > 0.95


def test_colours_that_contradict_a_mask_are_noticed() -> None:
    image, disc = disc_photo()
    half = disc.copy()
    half[:, 45:] = False
    assert refine(image, unsure_of(half)).scores.colour_iou < 0.95
    unknown = np.full(disc.shape, 0.5, np.float32)
    everywhere = Proposal(unknown > 0, unknown, SURE, Detection((18, 13, 73, 68), 0.9, "x"))
    assert refine(image, everywhere).scores.colour_iou < 0.7


def test_a_mask_that_fills_all_there_is_stays_as_it_is() -> None:
    image = np.zeros((*SHAPE, 3), np.uint8)
    full = proposal(np.ones(SHAPE, np.bool_))
    assert refine(image, full).mask.all()
