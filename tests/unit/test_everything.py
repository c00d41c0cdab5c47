from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything import generate as generator
from edgesam_rt.everything.generate import generate, with_options
from edgesam_rt.everything.grid import points
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.types import F32, U8

LOOSE = EverythingFacts(
    points_per_side=8,
    pred_iou_thresh=0.2,
    stability_score_thresh=0.4,
    stability_score_offset=1.0,
    box_nms_thresh=0.7,
)


@pytest.fixture(scope="module")
def embedding(small_encoder: Encoder, car: U8) -> Embedding:
    return small_encoder.encode(car)


@pytest.fixture(scope="module")
def found(decoder: Decoder, embedding: Embedding) -> MaskSet:
    return generate(decoder, embedding, LOOSE)


class Candidate(NamedTuple):
    """One mask on its way through the oracle."""

    iou: float
    stability: float
    box: tuple[int, int, int, int]  # in cells, right and bottom exclusive
    point: tuple[float, float]
    logits: F32


def cells_on_picture(embedding: Embedding, logits: F32) -> F32:
    stride = embedding.encoder_side / logits.shape[-1]
    rows, columns = (max(1, math.ceil(n / stride)) for n in embedding.fit.scaled_hw)
    return logits[:rows, :columns]


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / area


def candidates(decoder: Decoder, embedding: Embedding, facts: EverythingFacts) -> list[Candidate]:
    """SAM's generator up to suppression, one point and one mask after another."""
    h, w = embedding.image_hw
    n, t, offset = facts.points_per_side, decoder.facts.mask_threshold, facts.stability_score_offset
    made = []
    for row in range(n):
        for column in range(n):
            point = (w * (column + 0.5) / n, h * (row + 0.5) / n)
            answers = decoder.predict(embedding, [Prompt.point(*point)], multimask_output=True)
            for answer in decoder.facts.ambiguous_answers:
                iou = float(answers.predicted_iou[answer])
                if not iou > facts.pred_iou_thresh:
                    continue
                logits = answers.low_res_logits[answer]
                inside = cells_on_picture(embedding, logits)
                wide = (inside > t - offset).sum()
                stability = float((inside > t + offset).sum() / wide) if wide else 0.0
                ys, xs = np.nonzero(inside > t)
                if stability < facts.stability_score_thresh or not len(ys):
                    continue
                box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
                made.append(Candidate(iou, stability, box, point, logits))
    return made


def suppressed(made: list[Candidate], facts: EverythingFacts) -> list[Candidate]:
    kept: list[Candidate] = []
    for one in sorted(made, key=lambda c: -c.iou):
        if all(overlap(one.box, other.box) <= facts.box_nms_thresh for other in kept):
            kept.append(one)
    return kept


def test_the_steps_are_those_of_sam(decoder: Decoder, embedding: Embedding, found: MaskSet) -> None:
    expected = suppressed(candidates(decoder, embedding, LOOSE), LOOSE)
    assert len(expected) > 3
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.predicted_iou, [c.iou for c in expected], atol=1e-4)
    np.testing.assert_allclose(found.stability_score, [c.stability for c in expected], atol=1e-2)
    np.testing.assert_allclose(found.point_coords, [c.point for c in expected], rtol=1e-6)
    for ours, theirs in zip(found.low_res_logits, expected, strict=True):
        assert np.abs(ours - theirs.logits).max() < 1e-3


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
    boxes = generator.low_res_boxes(
        np.stack([cells_on_picture(embedding, logits) for logits in some.low_res_logits]),
        some.mask_threshold,
    )
    overlaps = box_iou(boxes, boxes) - np.eye(len(boxes))
    assert overlaps.max() <= threshold


def test_a_lower_overlap_threshold_never_keeps_more(decoder: Decoder, embedding: Embedding) -> None:
    counts = [
        len(generate(decoder, embedding, replace(LOOSE, box_nms_thresh=t)))
        for t in (0.0, 0.5, 0.9, 1.0)
    ]
    assert counts == sorted(counts)


def test_without_suppression_every_candidate_is_kept(
    decoder: Decoder, embedding: Embedding
) -> None:
    all_of_them = generate(decoder, embedding, replace(LOOSE, box_nms_thresh=1.0))
    assert len(all_of_them) == len(candidates(decoder, embedding, LOOSE))


def test_it_does_not_matter_how_many_masks_are_held_at_once(
    decoder: Decoder, embedding: Embedding, found: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "MASKS_AT_ONCE", 3)
    again = generate(decoder, embedding, LOOSE)
    np.testing.assert_allclose(again.predicted_iou, found.predicted_iou, atol=1e-4)
    assert (again.masks != found.masks).mean() < 1e-3


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
