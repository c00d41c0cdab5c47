from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything.instances import MASKS_AT_ONCE, every_instance
from edgesam_rt.everything.records import to_records
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.types import U8, Bool
from tests.instances.colour_net import COLOURS, NAMES, confidence, shape_mask, shapes_picture
from tests.instances.made_up import made_up, placed
from tests.instances.workplace import FACTS
from tests.oracles import one_shot
from tests.oracles.one_shot import Instance, Thresholds

ROUNDING_PX = 4  # pixels that float32 may put on the other side of the cut


def iou(a: Bool, b: Bool) -> float:
    return float((a & b).sum() / (a | b).sum())


def assert_same(made: MaskSet, wanted: Sequence[Instance]) -> None:
    assert len(made) == len(wanted)
    np.testing.assert_allclose(made.predicted_iou, [i.score for i in wanted], atol=1e-6)
    for mask, instance in zip(made.each_mask(), wanted, strict=True):
        assert (mask ^ instance.mask).sum() <= ROUNDING_PX


@pytest.mark.parametrize("image_hw", [(192, 256), (256, 192), (480, 640), (333, 600), (200, 200)])
def test_every_shape_is_found_with_its_outline(
    seg: es.Segmenter, image_hw: tuple[int, int]
) -> None:
    pixels = shapes_picture(image_hw)
    found = seg.everything(pixels)
    for name in set(NAMES) - {"disc"}:
        best = int(np.argmax([iou(m, shape_mask(pixels, name)) for m in found.masks]))
        assert iou(found.masks[best], shape_mask(pixels, name)) > 0.92
        assert abs(found.predicted_iou[best] - confidence(name)) < 0.03
    assert (np.diff(found.predicted_iou) <= 0).all()
    assert len(found) <= 9
    assert found.completeness == 1.0


def test_the_picture_and_its_embedding_have_the_same_masks(
    seg: es.Segmenter, shapes: U8, embedding: Embedding
) -> None:
    assert seg.everything(shapes).rle() == seg.everything(embedding).rle()


def test_plain_ground_is_an_empty_result(seg: es.Segmenter) -> None:
    found = seg.everything(np.full((90, 160, 3), 114, np.uint8))
    assert (len(found), found.masks.shape, found.rle()) == (0, (0, 90, 160), [])
    assert (found.completeness, found.boxes_xyxy.shape) == (1.0, (0, 4))


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 300), (300, 1), (3, 2000)])
def test_thin_pictures_are_looked_at_too(seg: es.Segmenter, image_hw: tuple[int, int]) -> None:
    pixels = np.full((*image_hw, 3), COLOURS["green"], np.uint8)
    found = seg.everything(pixels)
    assert found.masks.shape == (len(found), *image_hw)


@pytest.mark.parametrize("seed", range(6))
def test_masks_are_those_of_the_plain_postprocessing(decoder: InstanceDecoder, seed: int) -> None:
    image_hw = [(96, 128), (130, 70), (256, 256), (170, 211), (61, 640), (40, 33)][seed]
    given = made_up(decoder, image_hw, 120, seed)
    wanted = one_shot.instances(given.tensors, placed(given), Thresholds())
    assert 5 <= len(wanted) < 80
    assert_same(every_instance(decoder, given, FACTS), wanted)


def test_masks_of_the_network_are_those_of_the_plain_postprocessing(
    seg: es.Segmenter, embedding: Embedding
) -> None:
    wanted = one_shot.instances(embedding.tensors, placed(embedding), Thresholds())
    assert_same(seg.everything(embedding), wanted)


@pytest.mark.parametrize(
    ("options", "thresholds"),
    [
        ({"score_thresh": 0.8}, Thresholds(score=0.8)),
        ({"nms_thresh": 0.2}, Thresholds(nms=0.2)),
        ({"max_boxes": 5}, Thresholds(most=5)),
        ({"border_px": 0}, Thresholds(border=0)),
        ({"border_px": 60, "whole_iou": 0.3}, Thresholds(border=60, whole=0.3)),
    ],
)
def test_thresholds_do_what_the_plain_ones_do(
    decoder: InstanceDecoder, options: dict[str, float], thresholds: Thresholds
) -> None:
    given = made_up(decoder, (120, 160), 90, 11)
    made = every_instance(decoder, given, msgspec.structs.replace(FACTS, **options))
    assert_same(made, one_shot.instances(given.tensors, placed(given), thresholds))
    assert made.rle() != every_instance(decoder, given, FACTS).rle()


def test_no_two_boxes_overlap_more_than_asked(decoder: InstanceDecoder) -> None:
    given = made_up(decoder, (120, 160), 200, 3)
    facts: InstanceFacts = msgspec.structs.replace(FACTS, nms_thresh=0.5, border_px=0, whole_iou=1)
    boxes = decoder.find(given, facts).boxes_xyxy.tolist()
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert max(one_shot.iou(a, b) for a, b in pairs) <= 0.5 + 1e-6


def test_callers_thresholds_take_the_place_of_the_bundles(seg: es.Segmenter, shapes: U8) -> None:
    assert len(seg.everything(shapes, max_boxes=2)) == 2
    assert len(seg.everything(shapes, score_thresh=0.9999)) == 0


def test_a_threshold_of_other_bundles_is_refused_with_the_known_ones(
    seg: es.Segmenter, shapes: U8
) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'points_per_side'.*max_boxes"):
        seg.everything(shapes, points_per_side=16)
    with pytest.raises(ConfigError, match="score_thresh"):
        seg.everything(shapes, score_thresh=1.5)


@pytest.mark.parametrize("strategy", ["hierarchical", "objects"])
def test_a_strategy_that_asks_is_refused(seg: es.Segmenter, shapes: U8, strategy: str) -> None:
    with pytest.raises(ConfigError, match=rf"strategy '{strategy}' asks a decoder .* has none"):
        seg.everything(shapes, strategy=strategy)


def test_when_time_is_up_the_surest_are_there(decoder: InstanceDecoder) -> None:
    given = made_up(decoder, (120, 160), 200, 4)
    every = every_instance(decoder, given, FACTS)
    some = every_instance(decoder, given, FACTS, deadline_ns=CLOCK.now_ns())
    assert len(some) == MASKS_AT_ONCE < len(every)
    assert some.rle() == every.rle()[:MASKS_AT_ONCE]
    assert some.completeness == MASKS_AT_ONCE / len(every)
    assert every_instance(decoder, given, FACTS, CLOCK.now_ns() + 10**12).completeness == 1.0


def test_memory_is_bounded_by_the_most_that_are_kept(decoder: InstanceDecoder) -> None:
    given = made_up(decoder, (256, 256), 3000, 5)
    facts = msgspec.structs.replace(FACTS, nms_thresh=1.0)
    found = every_instance(decoder, given, facts)
    assert len(found) == 300
    assert found.low_res_logits.nbytes == 300 * 64 * 64 * 4
    for parts, logits in zip(found.parts, found.low_res_logits, strict=True):  # type: ignore[attr-defined]
        assert np.shares_memory(parts[0].logits, logits)  # and not held twice


def test_some_of_the_masks_are_masks_of_their_own(seg: es.Segmenter, embedding: Embedding) -> None:
    found = seg.everything(embedding)
    for index in (1, slice(1, 3), np.array([2, 0]), np.arange(len(found)) == 2):
        rows = np.arange(len(found))[index].reshape(-1)
        assert found[index].rle() == [found.rle()[i] for i in rows]
        assert found[index].predicted_iou.tolist() == found.predicted_iou[rows].tolist()


def test_records_are_sams_without_what_is_not_known(
    seg: es.Segmenter, embedding: Embedding
) -> None:
    found = seg.everything(embedding)
    first = to_records(found, "coco_rle")[0]
    assert first["segmentation"] == found.rle()[0]
    assert first["area"] == int(found.masks[0].sum())
    assert "stability_score" not in first
    assert "point_coords" not in first  # nothing was asked
