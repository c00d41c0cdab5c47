from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.prompt_feeds import PromptBatch
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Scored
from edgesam_rt.types import F32
from tests.oracles import amg
from tests.oracles.amg import Options, generate
from tests.oracles.made_up import FACTS, SIDE, Answer, MadeUp, encode, patch
from tests.oracles.shapes import box_iou, mask_of, run_lengths, suppressed, upscaled
from tests.oracles.small_regions import without_small_regions

PICTURE = np.zeros((SIDE, SIDE, 3), np.uint8)
FOUR = Options(points_per_side=2)
BOXES = {(0, 0): (2, 2, 20, 20), (1, 0): (40, 4, 60, 24), (0, 1): (4, 40, 30, 60)}
LAST = (44, 44, 62, 62)


def quarters(x: float, y: float) -> Answer:
    """Another box in each quarter of the picture."""
    box = BOXES.get((int(x > SIDE / 2), int(y > SIDE / 2)), LAST)
    return Answer(patch(box), 0.9 + x / 1000 + y / 10000)


def test_every_point_gives_its_mask_with_all_that_sam_says_of_it() -> None:
    found = generate(MadeUp(quarters), encode, PICTURE, FOUR)
    assert [f.point for f in found] == [(48, 48), (48, 16), (16, 48), (16, 16)]  # by score
    first = found[-1]
    assert first.box == (2, 2, 19, 19)  # both ends inclusive
    assert first.area == 18 * 18
    assert first.stability_score == 1.0
    assert first.predicted_iou == pytest.approx(0.9 + 0.016 + 0.0016, abs=1e-6)
    assert first.crop_box == (0, 0, SIDE, SIDE)
    assert (mask_of(first.runs, (SIDE, SIDE)) == (patch(BOXES[0, 0]) > 0)).all()


def test_points_are_asked_row_by_row_in_batches() -> None:
    decoder = MadeUp(quarters)
    generate(decoder, encode, PICTURE, replace(FOUR, points_per_batch=3))
    assert [len(batch) for batch in decoder.asked] == [3, 1]
    rows = np.concatenate(decoder.asked).round(3).tolist()
    assert rows == [[16, 16], [48, 16], [16, 48], [48, 48]]


@pytest.mark.parametrize(("score", "is_kept"), [(0.87, False), (0.88, False), (0.8801, True)])
def test_the_score_must_be_above_its_threshold(score: float, is_kept: bool) -> None:
    one = Options(points_per_side=1, pred_iou_thresh=np.float32(0.88).item())
    found = generate(MadeUp(lambda *_: Answer(patch(LAST), score)), encode, PICTURE, one)
    assert bool(found) == is_kept


@pytest.mark.parametrize(("first", "count"), [(0.3, 0), (0.5, 0), (0.51, 1)])
def test_a_first_look_judges_the_first_score_and_the_rest_the_second(
    first: float, count: int
) -> None:
    one = Options(points_per_side=1, first_look_thresh=0.5)
    decoder = MadeUp(lambda *_: Answer(patch(LAST), 0.9, first))
    found = generate(decoder, encode, PICTURE, one)
    assert len(found) == count
    assert [f.predicted_iou for f in found] == pytest.approx([0.9] * count)
    low = MadeUp(lambda *_: Answer(patch(LAST), 0.8, 0.99))
    assert not generate(low, encode, PICTURE, one)


def test_stability_counts_pixels_on_both_sides_of_the_cut() -> None:
    logits = patch((0, 0, 10, 10), inside=2.0)
    logits[0, :5] = 0.5  # above -1, not above 1
    one = Options(points_per_side=1, stability_score_thresh=0.95)
    found = generate(MadeUp(lambda *_: Answer(logits, 0.9)), encode, PICTURE, one)
    assert found[0].stability_score == 0.95
    more = replace(one, stability_score_thresh=0.951)
    assert not generate(MadeUp(lambda *_: Answer(logits, 0.9)), encode, PICTURE, more)


def test_nothing_above_the_lower_cut_is_no_mask_whatever_the_threshold() -> None:
    empty = Options(points_per_side=1, stability_score_thresh=0.0)
    assert not generate(
        MadeUp(lambda *_: Answer(np.full((SIDE, SIDE), -9, np.float32), 1.0)),
        encode,
        PICTURE,
        empty,
    )


def test_of_masks_with_like_boxes_the_better_score_stays() -> None:
    def shifted(x: float, y: float) -> Answer:
        step = int(x > 32) + 2 * int(y > 32)
        return Answer(patch((4 + step, 4, 44 + step, 44)), 0.9 + step / 100)

    found = generate(MadeUp(shifted), encode, PICTURE, FOUR)
    assert [f.point for f in found] == [(48, 48)]
    all_of_them = generate(MadeUp(shifted), encode, PICTURE, replace(FOUR, box_nms_thresh=1.0))
    assert [f.predicted_iou for f in all_of_them] == pytest.approx([0.93, 0.92, 0.91, 0.9])


def test_small_regions_go_and_unchanged_masks_win() -> None:
    speckled = patch((4, 4, 30, 30))
    speckled[10:12, 10:12] = -9  # a hole of 4
    speckled[60, 60] = 9  # an island of 1
    whole = patch((4, 4, 29, 30))

    def rule(x: float, y: float) -> Answer:
        return Answer(speckled, 0.99) if x < 32 and y < 32 else Answer(whole, 0.9 + y / 1000)

    apart = generate(MadeUp(rule), encode, PICTURE, FOUR)
    assert len(apart) == 2  # the island makes the first one's box large
    found = generate(MadeUp(rule), encode, PICTURE, replace(FOUR, min_mask_region_area=5))
    assert [f.area for f in found] == [25 * 26]
    alone = Options(points_per_side=1, min_mask_region_area=5)
    changed = generate(MadeUp(lambda *_: Answer(speckled, 0.99)), encode, PICTURE, alone)
    assert changed[0].area == 26 * 26
    assert changed[0].box == (4, 4, 29, 29)


def test_the_largest_of_small_islands_stays() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[1, 1:3] = mask[5, 1:4] = True
    cleaned, changed = without_small_regions(run_lengths(mask), (9, 9), 10)
    assert changed
    assert cleaned.sum() == 3
    corner = np.eye(9, dtype=np.bool_)  # corners connect
    same, changed = without_small_regions(run_lengths(corner), (9, 9), 9)
    assert not changed
    assert (same == corner).all()


# Crops


def test_crops_overlap_and_cover_the_picture() -> None:
    boxes = list(amg.crops((300, 400), Options(crop_n_layers=2)))
    assert [layer for layer, _ in boxes] == [0] + [1] * 4 + [2] * 16
    assert boxes[0][1] == (0, 0, 400, 300)
    overlap = int(512 / 1500 * 300)
    assert boxes[1][1] == (0, 0, math.ceil((overlap + 400) / 2), math.ceil((overlap + 300) / 2))
    assert boxes[2][1][:2] == (0, math.ceil((overlap + 300) / 2) - overlap)  # then down
    for layer in (1, 2):
        seen = np.zeros((300, 400), np.bool_)
        for of_layer, (left, top, right, bottom) in boxes:
            assert 0 <= left < right <= 400
            assert 0 <= top < bottom <= 300
            if of_layer == layer:
                seen[top:bottom, left:right] = True
        assert seen.all()


def test_what_a_crop_cuts_off_is_dropped_but_not_at_the_edge_of_the_picture() -> None:
    crop = (100, 0, 200, 200)
    assert amg.is_cut_off((110, 50, 150, 80), crop, (300, 400))  # left
    assert amg.is_cut_off((140, 50, 181, 80), crop, (300, 400))  # right
    assert amg.is_cut_off((140, 50, 160, 190), crop, (300, 400))  # bottom
    assert not amg.is_cut_off((140, 5, 160, 80), crop, (300, 400))  # the picture ends there too
    assert not amg.is_cut_off((0, 0, 399, 299), (0, 0, 400, 300), (300, 400))


def test_masks_of_crops_lie_where_they_are_in_the_picture() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    middle = MadeUp(lambda *_: Answer(patch((24, 24, 40, 40)), 0.9))
    found = generate(middle, encode, pixels, Options(points_per_side=1, crop_n_layers=1))
    assert len(found) == 5
    assert {f.crop_box for f in found} == {box for _, box in amg.crops((200, 200), Options())} | {
        box for _, box in amg.crops((200, 200), Options(crop_n_layers=1))
    }
    for one in found:
        left, top, right, bottom = one.crop_box
        middle_of_crop = (left + right) / 2, (top + bottom) / 2
        assert one.point == pytest.approx(middle_of_crop, abs=0.6)
        assert ((one.box[0] + one.box[2] + 1) / 2, (one.box[1] + one.box[3] + 1) / 2) == (
            pytest.approx(middle_of_crop, abs=1.5)
        )
        assert mask_of(one.runs, (200, 200)).sum() == one.area


class Seeing(MadeUp):
    """Whatever is asked, the mask is what is white; a crop's scores are lower."""

    def score(self, embedding: Embedding, batch: PromptBatch) -> Scored:
        seen = cv2.resize(embedding.tensors["pixels"][..., 0], (SIDE, SIDE))
        answer = Answer(np.where(seen > 127, 9, -9), 0.99 if embedding.image_hw[0] == 400 else 0.9)
        self._rule = lambda *_: answer
        return super().score(embedding, batch)


def test_of_an_object_found_in_two_crops_the_smaller_crops_one_stays() -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[70:120, 60:110] = 255  # far from the edges of all crops that hold it
    found = generate(Seeing(quarters), encode, pixels, Options(1, crop_n_layers=1))
    assert [f.crop_box[2] < 400 for f in found] == [True]
    assert found[0].predicted_iou == pytest.approx(0.9)
    assert box_iou(found[0].box, (60, 70, 109, 119)) > 0.9


def test_deeper_layers_have_fewer_points() -> None:
    options = Options(points_per_side=9, crop_n_points_downscale_factor=2)
    assert [len(amg.grid(layer, options)) for layer in range(3)] == [81, 16, 4]


def test_points_of_ones_own_take_the_place_of_the_grid() -> None:
    own = np.array([[0.25, 0.75]], np.float32)
    decoder = MadeUp(quarters)
    found = generate(decoder, encode, PICTURE, Options(point_grids=[own]))
    assert [f.point for f in found] == [(16, 48)]


# Shapes


@pytest.mark.parametrize("image_hw", [(64, 64), (48, 64), (200, 150), (1, 300), (37, 11)])
def test_upscaled_logits_are_those_that_the_runtime_cuts(image_hw: tuple[int, int]) -> None:
    fit = Fit.longest_side(image_hw, SIDE)
    logits = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    whole = upscaled(logits, fit)
    assert whole.shape == image_hw
    assert (mask_ops.to_image(logits, fit, 0.1) == (whole > 0.1)).all()
    rows, columns = (max(1, math.ceil(n / 4)) for n in fit.scaled_hw)
    assert (upscaled(logits[:rows, :columns], fit) == whole).all()


def test_boxes_are_measured_as_sam_does() -> None:
    assert box_iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert box_iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert box_iou((0, 0, 1, 1), (4, 4, 9, 9)) == 0.0
    assert math.isnan(box_iou((3, 3, 3, 3), (3, 3, 3, 3)))  # a single pixel has no area
    assert suppressed([(3, 3, 3, 3)] * 2, [0.5, 0.6], 0.7) == [1, 0]


def test_of_equal_scores_the_earlier_goes_first() -> None:
    assert suppressed([(0, 0, 9, 9)] * 3, [0.5, 0.6, 0.6], 0.7) == [1]


def test_runs_come_back_as_the_mask() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        mask = rng.random((7, 5)) < rng.random()
        runs = run_lengths(mask)
        assert runs.sum() == 35
        assert (mask_of(runs, (7, 5)) == mask).all()


def test_the_made_up_decoder_has_facts_that_the_oracle_uses() -> None:
    assert FACTS.ambiguous_answers == (1,)  # answer 0 is all of the picture, and never taken
    logits: F32 = patch((0, 0, 1, 1))
    assert logits.shape == (SIDE, SIDE)
