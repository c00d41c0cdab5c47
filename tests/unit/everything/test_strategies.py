from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import asdict, replace

import edgesam_rt as es
from edgesam_rt.boxes import Boxes
from edgesam_rt.bundle import Bundle
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything import kept, search
from edgesam_rt.everything.grid import coarse_to_fine, points
from edgesam_rt.everything.lattice import fine_points
from edgesam_rt.everything.options import with_options
from edgesam_rt.everything.strategies import Request, everything
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder, Encoder, Made
from edgesam_rt.types import U8
from tests.oracles import amg, hierarchical

LOOSE = EverythingFacts(
    points_per_side=8,
    pred_iou_thresh=0.15,
    first_look_thresh=0.1,
    stability_score_thresh=0.4,
    stability_score_offset=1.0,
    box_nms_thresh=0.7,
)


@pytest.fixture(scope="module")
def embedding(small_encoder: Encoder, car: U8) -> Embedding:
    return small_encoder.encode(car)


def generate(decoder: Decoder, embedding: Embedding, facts: EverythingFacts) -> MaskSet:
    return everything("grid", Request(decoder, embedding, facts))


@pytest.fixture(scope="module")
def found(decoder: Decoder, embedding: Embedding) -> MaskSet:
    return generate(decoder, embedding, LOOSE)


def assert_same(ours: MaskSet, theirs: list[amg.Found]) -> None:
    """The same masks with the same scores, in any order."""
    by_runs = {tuple(f.runs.tolist()): f for f in theirs}
    assert len(by_runs) == len(theirs) > 1
    assert len(ours) == len(theirs)
    for i, runs in enumerate(ours.runs):
        their = by_runs[tuple(runs.tolist())]
        assert ours.predicted_iou[i] == pytest.approx(their.predicted_iou, abs=1e-4)
        assert ours.stability_score[i] == pytest.approx(their.stability_score, abs=1e-6)
        assert ours.point_coords[i] == pytest.approx(their.point, abs=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"stability_score_thresh": 0.6, "box_nms_thresh": 0.4},
        {"stability_score_offset": 2.5, "stability_score_thresh": 0.2},
        {"first_look_thresh": 0.0, "points_per_side": 5, "points_per_batch": 7},
        {"first_look_margin": 0.05},
        {"first_look_nms_thresh": 0.7},
        {"first_look_nms_thresh": 0.5, "first_look_margin": 0.1, "points_per_side": 12},
        {"min_mask_region_area": 150},
        {"crop_n_layers": 1, "points_per_side": 6, "crop_n_points_downscale_factor": 2},
    ],
    ids=str,
)
def test_the_masks_are_those_of_sams_generator(
    decoder: Decoder, small_encoder: Encoder, car: U8, change: dict[str, Any]
) -> None:
    facts = replace(LOOSE, **change)
    request = Request(decoder, small_encoder.encode(car), facts, car, small_encoder.encode)
    options = amg.options_of(asdict(facts), amg.Options)
    theirs = amg.generate(decoder, small_encoder.encode, car, options)
    assert_same(everything("grid", request), theirs)


@pytest.mark.parametrize("look", [1.0, 0.7])
def test_the_masks_are_those_of_tinysams_generator(
    decoder: Decoder, small_encoder: Encoder, car: U8, look: float
) -> None:
    facts = replace(LOOSE, points_per_side=16, high_score_thresh=2.0, first_look_nms_thresh=look)
    ours = everything("hierarchical", Request(decoder, small_encoder.encode(car), facts))
    options = amg.options_of(asdict(facts), hierarchical.Options)
    theirs = hierarchical.generate(decoder, small_encoder.encode, car, options)
    assert_same(ours, theirs)


def test_masks_come_by_falling_score(found: MaskSet) -> None:
    assert (np.diff(found.predicted_iou) <= 0).all()


def test_all_that_is_left_reaches_both_thresholds(found: MaskSet) -> None:
    assert (found.predicted_iou > LOOSE.pred_iou_thresh).all()
    assert (found.stability_score >= LOOSE.stability_score_thresh).all()


def test_a_higher_score_threshold_only_takes_the_lower_scores_away(
    decoder: Decoder, embedding: Embedding, found: MaskSet
) -> None:
    middle = float(np.median(found.predicted_iou))
    fewer = generate(decoder, embedding, replace(LOOSE, pred_iou_thresh=middle))
    assert 0 < len(fewer) < len(found)
    assert (fewer.predicted_iou > middle).all()
    assert set(fewer.predicted_iou.tolist()) <= set(found.predicted_iou.tolist())


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_no_two_boxes_overlap_more_than_they_may(
    decoder: Decoder, embedding: Embedding, threshold: float
) -> None:
    some = generate(decoder, embedding, replace(LOOSE, box_nms_thresh=threshold))
    boxes = some.boxes_xyxy - [0, 0, 1, 1]  # SAM's boxes end on a pixel
    overlaps = box_iou(boxes, boxes) - np.eye(len(boxes))
    assert overlaps.max() <= threshold


def test_a_lower_overlap_threshold_never_keeps_more(decoder: Decoder, embedding: Embedding) -> None:
    counts = [
        len(generate(decoder, embedding, replace(LOOSE, box_nms_thresh=t)))
        for t in (0.0, 0.5, 0.9, 1.0)
    ]
    assert counts == sorted(counts)


@pytest.mark.parametrize("limit", [0, 100_000])
def test_masks_that_were_not_held_are_made_again(
    decoder: Decoder,
    embedding: Embedding,
    found: MaskSet,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
) -> None:
    monkeypatch.setattr(kept, "_MAX_BYTES", limit)
    again = generate(decoder, embedding, LOOSE)
    np.testing.assert_allclose(again.predicted_iou, found.predicted_iou, atol=1e-4)
    assert (again.masks != found.masks).mean() < 1e-3


def test_the_order_of_asking_changes_nothing(
    decoder: Decoder, embedding: Embedding, found: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = np.random.default_rng(0).permutation(LOOSE.points_per_side**2)
    monkeypatch.setattr("edgesam_rt.everything.grid.coarse_to_fine", lambda n: shuffled)
    again = generate(decoder, embedding, LOOSE)
    np.testing.assert_allclose(again.predicted_iou, found.predicted_iou, atol=1e-4)
    np.testing.assert_array_equal(again.point_coords, found.point_coords)
    assert (again.masks != found.masks).mean() < 1e-3


# With a deadline


def within(ms: float) -> int:
    return CLOCK.now_ns() + int(ms * 1e6)


@pytest.mark.parametrize("strategy", ["grid", "hierarchical"])
def test_a_deadline_that_is_far_away_changes_nothing(
    decoder: Decoder, embedding: Embedding, strategy: str
) -> None:
    plain = everything(strategy, Request(decoder, embedding, LOOSE))
    request = Request(decoder, embedding, LOOSE, deadline_ns=within(1e6))
    timed = everything(strategy, request)
    assert timed.completeness == 1.0
    np.testing.assert_allclose(timed.predicted_iou, plain.predicted_iou, atol=1e-4)
    assert (timed.masks != plain.masks).mean() < 1e-3


@pytest.mark.parametrize("strategy", ["grid", "hierarchical"])
def test_a_deadline_that_has_passed_still_gets_the_first_batch_scored(
    decoder: Decoder, embedding: Embedding, strategy: str
) -> None:
    request = Request(decoder, embedding, LOOSE, deadline_ns=within(-1))
    found = everything(strategy, request)
    assert found.completeness < 1.0
    assert found.masks.shape == (len(found), *embedding.image_hw)


def test_more_time_gives_more(decoder: Decoder, embedding: Embedding) -> None:
    """With a clock that a step moves by one, so that nothing depends on this machine."""
    facts = replace(LOOSE, points_per_side=16, points_per_batch=16)
    shares = []
    for steps in (0, 4, 8, 16, 10_000):
        clock = StepClock()
        looking = search.Search(decoder, embedding, facts, search.Pace(steps, clock))
        looking.ask_points(points(16, embedding.image_hw)[coarse_to_fine(16)])
        shares.append(looking.finish().completeness)
    assert shares == sorted(shares)
    assert shares[0] < shares[2] < shares[-1] == 1.0


class StepClock:
    """Moves by one nanosecond each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        self.now += 1
        return self.now

    def sleep_s(self, seconds: float) -> None:
        raise AssertionError(seconds)


def test_answers_expected_to_fill_the_same_box_are_made_once(
    decoder: Decoder, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    whole = Decoder.masks

    def counting(self: Decoder, *args: Any) -> Made:
        made.append(len(args[-1]))
        return whole(self, *args)

    monkeypatch.setattr(Decoder, "masks", counting)
    counts, found = [], []
    for thresh in (1.0, 0.7):
        made.clear()
        facts = replace(
            LOOSE, points_per_side=24, first_look_thresh=0.5, first_look_nms_thresh=thresh
        )
        found.append(everything("grid", Request(decoder, embedding, facts)))
        counts.append(sum(made))
    assert counts[1] < counts[0] / 2
    best = box_iou(found[0].boxes_xyxy[:5], found[1].boxes_xyxy).max(1)
    assert (best > 0.7).all(), best  # what was best is still there, or something much like it


def test_a_deadline_with_room_finds_what_no_deadline_finds_or_more(
    decoder: Decoder, embedding: Embedding
) -> None:
    facts = replace(LOOSE, first_look_nms_thresh=0.7)
    plain = everything("grid", Request(decoder, embedding, facts))
    timed = everything("grid", Request(decoder, embedding, facts, deadline_ns=within(1e6)))
    assert timed.completeness == 1.0
    best = box_iou(plain.boxes_xyxy[:5], timed.boxes_xyxy).max(1)
    assert (best > 0.7).all(), best


# By boxes


def finder(*boxes: tuple[float, ...]) -> Callable[[U8 | None, Embedding], Boxes]:
    table = np.array(boxes, np.float32).reshape(-1, 5)
    return lambda pixels, embedding: Boxes(table[:, :4], table[:, 4])


def test_objects_are_asked_for_by_their_boxes(
    decoder: Decoder, embedding: Embedding, car: U8
) -> None:
    h, w = car.shape[:2]
    boxes = ((10, 10, w - 10, h - 10, 0.9), (w / 4, h / 4, w / 2, h / 2, 0.2))
    found = everything("objects", Request(decoder, embedding, LOOSE, car, find=finder(*boxes)))
    direct = decoder.predict(embedding, [Prompt.box(*b[:4]) for b in boxes])
    assert len(found) == 2
    order = np.argsort(-direct.predicted_iou * [0.9, 0.2])
    np.testing.assert_allclose(found.predicted_iou, direct.predicted_iou[order], atol=1e-4)
    assert (found.masks != direct[order].masks).mean() < 1e-3


def test_no_box_is_no_mask(decoder: Decoder, embedding: Embedding, car: U8) -> None:
    found = everything("objects", Request(decoder, embedding, LOOSE, car, find=finder()))
    assert len(found) == 0
    assert found.completeness == 1.0
    assert found.masks.shape == (0, *embedding.image_hw)


def test_objects_without_a_detector_say_what_to_do(decoder: Decoder, embedding: Embedding) -> None:
    with pytest.raises(ConfigError, match="needs a detector"):
        everything("objects", Request(decoder, embedding, LOOSE))


def test_a_detector_without_the_image_says_what_to_do(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    with pytest.raises(ConfigError, match="given only an embedding"):
        small_segmenter.everything(embedding, strategy="objects")


def test_the_bundles_own_head_finds_boxes_in_an_embedding(car: U8) -> None:
    with es.open(threads=1, encoder_side=384, detector="own") as seg:
        embedding = seg.encode(car)
        found = seg.everything(embedding, strategy="objects")
        assert len(found) > 3
        assert found.rle() == seg.everything(car, strategy="objects").rle()


def test_crop_layers_of_an_embedding_say_what_to_do(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    with pytest.raises(ConfigError, match="crop_n_layers needs the picture"):
        small_segmenter.everything(embedding, crop_n_layers=1)


def test_masks_are_as_large_as_the_picture(found: MaskSet, car: U8) -> None:
    assert found.masks.shape == (len(found), *car.shape[:2])
    assert (found.areas > 0).all()


def test_the_largest_object_of_a_photo_is_among_them(segmenter: es.Segmenter, car: U8) -> None:
    """The car itself; what its mask is, tests/golden knows."""
    on_car = Prompt.point(345, 60)
    embedding = segmenter.encode(car)
    known = segmenter.predict(embedding, on_car).masks[0]
    found = segmenter.everything(embedding, points_per_side=16, pred_iou_thresh=0.3)
    ious = [(known & mask).sum() / (known | mask).sum() for mask in found.each_mask()]
    assert max(ious) > 0.9


# Pictures with little to find


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_a_uniform_picture_gives_few_masks(small_segmenter: es.Segmenter, grey: int) -> None:
    found = small_segmenter.everything(np.full((200, 300, 3), grey, np.uint8), points_per_side=16)
    assert len(found) <= 5


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 500), (500, 1), (2, 3000), (3000, 2)])
def test_a_thin_picture_gives_masks_of_its_shape(
    small_segmenter: es.Segmenter, image_hw: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    found = small_segmenter.everything(pixels, points_per_side=4, pred_iou_thresh=0.1)
    assert found.masks.shape == (len(found), *image_hw)
    assert len(found.rle()) == len(found)


def test_when_nothing_is_good_enough_the_answer_is_empty(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    found = small_segmenter.everything(embedding, points_per_side=4, pred_iou_thresh=1.0)
    assert len(found) == 0
    assert found.masks.shape == (0, *embedding.image_hw)
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.stability_score.shape == (0,)


# What can be asked for


def test_a_picture_and_its_embedding_give_the_same(
    small_segmenter: es.Segmenter, car: U8, embedding: Embedding
) -> None:
    a = small_segmenter.everything(car, points_per_side=6)
    b = small_segmenter.everything(embedding, points_per_side=6)
    assert a.rle() == b.rle()


def test_nothing_asked_for_means_the_bundles_own_thresholds(
    small_segmenter: es.Segmenter, embedding: Embedding, decoder: Decoder, default_bundle: Bundle
) -> None:
    own = replace(default_bundle.manifest.everything, points_per_side=8)
    found = small_segmenter.everything(embedding, points_per_side=8)
    assert len(found) == len(generate(decoder, embedding, own))


def test_an_option_takes_the_place_of_the_bundles_own_and_leaves_the_others(
    default_bundle: Bundle,
) -> None:
    facts = default_bundle.manifest.everything
    changed = with_options(facts, {"points_per_side": 5, "box_nms_thresh": 0.25})
    assert changed == replace(facts, points_per_side=5, box_nms_thresh=0.25)


def test_an_option_does_not_stay_for_the_next_call(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    before = len(small_segmenter.everything(embedding, points_per_side=6))
    small_segmenter.everything(embedding, points_per_side=6, pred_iou_thresh=1.0)
    assert len(small_segmenter.everything(embedding, points_per_side=6)) == before


def test_an_unknown_option_is_answered_with_the_nearest_and_the_known_ones(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    with pytest.raises(ConfigError) as caught:
        small_segmenter.everything(embedding, pred_iou_threshold=0.5)
    assert "'pred_iou_threshold'. Did you mean 'pred_iou_thresh'?" in str(caught.value)
    assert "points_per_side" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("points_per_side", 0),
        ("points_per_side", -3),
        ("points_per_side", 2.5),
        ("pred_iou_thresh", math.nan),
        ("stability_score_thresh", math.nan),
        ("stability_score_offset", math.nan),
        ("stability_score_offset", -1.0),
        ("box_nms_thresh", math.nan),
        ("box_nms_thresh", -0.1),
        ("box_nms_thresh", 1.5),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(
    default_bundle: Bundle, option: str, value: float
) -> None:
    with pytest.raises(ConfigError, match=option):
        with_options(default_bundle.manifest.everything, {option: value})


def test_an_unknown_strategy_lists_the_known_ones(
    small_segmenter: es.Segmenter, embedding: Embedding
) -> None:
    with pytest.raises(ConfigError, match=r"unknown strategy 'girds'.*Did you mean 'grid'"):
        small_segmenter.everything(embedding, strategy="girds")


# The grid


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_the_grid_has_its_points_in_the_middle_of_equal_cells(n: int) -> None:
    at = points(n, (300, 400))
    assert at.shape == (n * n, 2)
    assert at.dtype == np.float32
    np.testing.assert_allclose(at[0], [200 / n, 150 / n], rtol=1e-6)
    np.testing.assert_allclose(at.mean(0), [200, 150], rtol=1e-6)
    assert len(np.unique(at, axis=0)) == n * n


def test_x_runs_fastest() -> None:
    at = points(3, (300, 400))
    assert (at[:3, 1] == at[0, 1]).all()
    assert (np.diff(at[:3, 0]) > 0).all()


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13, 32])
def test_coarse_to_fine_has_every_point_once(n: int) -> None:
    assert sorted(coarse_to_fine(n).tolist()) == list(range(n * n))


def test_every_beginning_of_coarse_to_fine_covers_the_picture_evenly() -> None:
    order = coarse_to_fine(32)
    for share in (2, 4, 8):
        first = order[: share * share]
        squares = {(p // 32 * share // 32, p % 32 * share // 32) for p in first.tolist()}
        assert len(squares) == share * share


def test_fine_points_fill_a_lattice_of_whole_strides() -> None:
    coarse = points(8, (480, 640))
    fine = fine_points(coarse, 32, (480, 640))
    both = np.concatenate([coarse, fine])
    assert len(np.unique(both, axis=0)) == len(both) == 31 * 31
    assert (both[:, 0] % 20 == 0).all()
    assert (both[:, 1] % 15 == 0).all()


@pytest.mark.parametrize("image_hw", [(1, 1), (3, 500), (31, 31)])
def test_a_tiny_picture_has_fine_points_within_it(image_hw: tuple[int, int]) -> None:
    fine = fine_points(points(2, image_hw), 8, image_hw)
    assert np.isfinite(fine).all()
