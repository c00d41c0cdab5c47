from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError, PromptError, ShapeError
from edgesam_rt.imaging import rle
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import (
    MASK_CHUNK,
    SCORE_CHUNK,
    Decoder,
    Encoder,
    EngineOptions,
    shares,
)
from edgesam_rt.types import U8, Bool

TESTS = Path(__file__).resolve().parents[1]
PHOTOS = TESTS.parent / "demo" / "photos"
CLOSE = 1e-3  # logits of one prompt alone and in company

# On the astronaut, 512x512: her face, her suit, the helmet, the flag, the model behind her.
FACE, SUIT, HELMET, FLAG, MODEL = (222, 110), (190, 330), (390, 440), (40, 90), (393, 120)


@dataclass(frozen=True)
class Known:
    """An object of a photo whose mask is known; see tests/golden/how_made.md."""

    photo: str
    point: Prompt
    box: Prompt
    mask: Bool


def read_known(path: Path) -> Known:
    data = json.loads(path.read_text(encoding="utf-8"))
    mask = rle.from_runs(rle.decompress(data["counts"]), tuple(data["size"]))
    return Known(
        data["photo"], Prompt.point(*data["point_xy"]), Prompt.box(*data["box_xyxy"]), mask
    )


KNOWN = [read_known(path) for path in sorted((TESTS / "golden").glob("*.json"))]


@dataclass(frozen=True)
class Shape:
    """One object of a made picture."""

    centre: tuple[float, float]
    mask: Bool


Y, X = np.mgrid[:360, :480]
DISC = Shape((130.5, 180.5), np.hypot(X - 130, Y - 180) <= 70)
SQUARE = Shape((340.5, 170.5), np.maximum(abs(X - 340), abs(Y - 170)) <= 60)
AROUND_BOTH = Prompt.box(40, 90, 420, 270)


@pytest.fixture(scope="module")
def shapes(segmenter: es.Segmenter) -> Embedding:
    """A red disc and a yellow square on a dull slope."""
    pixels = np.stack([90 + X // 16, 0 * X + 100, 0 * X + 85], -1).astype(np.uint8)
    pixels[DISC.mask] = (205, 45, 40)
    pixels[SQUARE.mask] = (235, 200, 50)
    return segmenter.encode(pixels)


def iou(a: Bool, b: Bool) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def assert_same_answers(alone: Sequence[MaskSet], together: Sequence[MaskSet]) -> None:
    assert len(alone) == len(together)
    for i, (a, b) in enumerate(zip(alone, together, strict=True)):
        assert a.low_res_logits.shape == b.low_res_logits.shape, i
        assert np.abs(a.low_res_logits - b.low_res_logits).max() < CLOSE, i
        assert np.abs(a.predicted_iou - b.predicted_iou).max() < CLOSE, i


def scattered(n: int, seed: int = 0) -> list[Prompt]:
    """Points, boxes and points with others, mixed, on a picture of 512x512."""
    rng = np.random.default_rng(seed)
    prompts = []
    for i in range(n):
        x, y = (float(v) for v in rng.uniform(60, 450, 2))
        prompt = Prompt.point(x, y)
        if i % 3 == 1:
            prompt = Prompt.box(x - 50, y - 40, x + 50, y + 60)
        elif i % 3 == 2:
            prompt = prompt + Prompt.point(x + 20, y, i % 2) + Prompt.point(x, y + 30, 0)
        prompts.append(prompt)
    return prompts


def one_by_one(
    segmenter: es.Segmenter, embedding: Embedding, prompts: Sequence[Prompt]
) -> list[MaskSet]:
    return [segmenter.predict(embedding, prompt) for prompt in prompts]


# Known objects


def test_there_are_known_objects() -> None:
    assert len(KNOWN) >= 2


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.photo)
@pytest.mark.parametrize("opened", ["segmenter", "small_segmenter"])
@pytest.mark.parametrize("by", ["point", "box", "both"])
def test_a_known_object_is_found(
    known: Known, opened: str, by: str, request: pytest.FixtureRequest
) -> None:
    segmenter: es.Segmenter = request.getfixturevalue(opened)
    prompt = known.point + known.box if by == "both" else getattr(known, by)
    embedding = segmenter.encode(es.read_image(PHOTOS / known.photo))
    least = 0.75 if by == "point" else 0.85
    assert iou(segmenter.predict(embedding, prompt).masks[0], known.mask) > least


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.photo)
def test_the_mask_of_a_mirrored_photo_is_the_mirrored_mask(
    known: Known, small_segmenter: es.Segmenter
) -> None:
    pixels = es.read_image(PHOTOS / known.photo)[:, ::-1]
    (x0, y0), (x1, y1) = known.box.point_coords.tolist()
    w = pixels.shape[1]
    found = small_segmenter.predict(
        small_segmenter.encode(pixels), Prompt.box(w - x1, y0, w - x0, y1)
    )
    assert iou(found.masks[0], known.mask[:, ::-1]) > 0.85


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.photo)
def test_the_object_is_found_wherever_a_larger_picture_holds_it(
    known: Known, segmenter: es.Segmenter
) -> None:
    pixels = es.read_image(PHOTOS / known.photo)
    h, w, _ = pixels.shape
    large = np.full((h + 150, w + 90, 3), pixels.mean((0, 1)).astype(np.uint8), np.uint8)
    large[100 : 100 + h, 70 : 70 + w] = pixels
    x, y = known.point.point_coords[0].tolist()
    found = segmenter.predict(segmenter.encode(large), Prompt.point(x + 70, y + 100)).masks[0]
    assert iou(found[100 : 100 + h, 70 : 70 + w], known.mask) > 0.75
    assert found.sum() < 1.2 * known.mask.sum()


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.photo)
def test_the_object_is_found_in_a_photo_three_times_as_large(
    known: Known, small_segmenter: es.Segmenter
) -> None:
    pixels = es.read_image(PHOTOS / known.photo).repeat(3, 0).repeat(3, 1)
    x, y = known.point.point_coords[0].tolist()
    found = small_segmenter.predict(small_segmenter.encode(pixels), Prompt.point(3 * x, 3 * y))
    assert iou(found.masks[0][1::3, 1::3], known.mask) > 0.85


# Kinds of prompts


@pytest.mark.parametrize("shape", [DISC, SQUARE], ids=["disc", "square"])
def test_a_point_finds_the_shape_it_lies_on(
    segmenter: es.Segmenter, shapes: Embedding, shape: Shape
) -> None:
    found = segmenter.predict(shapes, Prompt.point(*shape.centre))
    assert iou(found.masks[0], shape.mask) > 0.9


def test_a_box_around_two_shapes_finds_both(segmenter: es.Segmenter, shapes: Embedding) -> None:
    found = segmenter.predict(shapes, AROUND_BOTH)
    assert iou(found.masks[0], DISC.mask | SQUARE.mask) > 0.5


@pytest.mark.parametrize("shape", [DISC, SQUARE], ids=["disc", "square"])
def test_a_box_finds_the_shape_in_it(
    segmenter: es.Segmenter, shapes: Embedding, shape: Shape
) -> None:
    y, x = np.nonzero(shape.mask)
    box = Prompt.box(float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
    assert iou(segmenter.predict(shapes, box).masks[0], shape.mask) > 0.9
    with_point = segmenter.predict(shapes, box + Prompt.point(*shape.centre))
    assert iou(with_point.masks[0], shape.mask) > 0.9


@pytest.mark.parametrize("xy", [FACE, SUIT, HELMET, MODEL])
def test_the_mask_of_a_point_holds_the_point(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, xy: tuple[int, int]
) -> None:
    found = segmenter.predict(astronaut_embedding, Prompt.point(*xy))
    assert found.masks[0, xy[1], xy[0]]


def test_the_mask_of_a_box_stays_about_in_the_box(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    x0, y0, x1, y1 = 150, 0, 300, 200
    mask = segmenter.predict(astronaut_embedding, Prompt.box(x0, y0, x1, y1)).masks[0]
    assert mask.sum() > 0.2 * (x1 - x0) * (y1 - y0)
    assert mask[y0:y1, x0:x1].sum() > 0.9 * mask.sum()


def test_a_background_point_lowers_the_logits_at_its_place(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    with_it, against_it = (
        segmenter.predict(astronaut_embedding, Prompt.point(*SUIT) + Prompt.point(*HELMET, label))
        for label in (1, 0)
    )
    column, row = (int(v / 4) for v in HELMET)
    assert against_it.low_res_logits[0, row, column] < with_it.low_res_logits[0, row, column] - 1


def test_several_points_are_all_in_the_mask(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    points = [FACE, SUIT, HELMET]
    found = segmenter.predict(astronaut_embedding, Prompt.points(points, [1, 1, 1]))
    assert all(found.masks[0, y, x] for x, y in points)


def test_points_may_come_in_any_order_behind_the_first(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    a = Prompt.points([SUIT, FACE, MODEL], [1, 1, 0])
    b = Prompt.points([SUIT, MODEL, FACE], [1, 0, 1])
    assert_same_answers(*([segmenter.predict(astronaut_embedding, p)] for p in (a, b)))


def test_a_point_joined_before_or_behind_a_box_is_the_same_prompt(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    point, box = Prompt.point(*FACE), Prompt.box(150, 0, 300, 200)
    found = one_by_one(segmenter, astronaut_embedding, [point + box, box + point])
    assert_same_answers(found[:1], found[1:])


@pytest.mark.parametrize("shape", [DISC, SQUARE], ids=["disc", "square"])
def test_an_earlier_answer_says_which_object_is_meant(
    segmenter: es.Segmenter, shapes: Embedding, shape: Shape
) -> None:
    earlier = segmenter.predict(shapes, Prompt.point(*shape.centre)).low_res_logits[0]
    found = segmenter.predict(shapes, Prompt.points([], []).with_mask(earlier))
    assert iou(found.masks[0], shape.mask) > 0.7


def test_a_background_point_takes_an_object_out_of_an_earlier_answer(
    segmenter: es.Segmenter, shapes: Embedding
) -> None:
    both = segmenter.predict(shapes, AROUND_BOTH)
    click = Prompt.point(*DISC.centre) + Prompt.point(*SQUARE.centre, 0)
    found = segmenter.predict(shapes, click.with_mask(both.low_res_logits[0])).masks[0]
    assert (both.masks[0] & SQUARE.mask).sum() > 0.5 * SQUARE.mask.sum()
    assert (found & SQUARE.mask).sum() < 0.1 * SQUARE.mask.sum()
    assert (found & DISC.mask).sum() > 0.9 * DISC.mask.sum()


def test_an_earlier_answer_repeated_stays_about_what_it_was(
    segmenter: es.Segmenter, car_embedding: Embedding
) -> None:
    prompt = KNOWN[0].point
    first = segmenter.predict(car_embedding, prompt)
    again = segmenter.predict(car_embedding, prompt.with_mask(first.low_res_logits[0]))
    assert iou(first.masks[0], again.masks[0]) > 0.85


def test_an_earlier_answer_alone_is_a_prompt(
    segmenter: es.Segmenter, car_embedding: Embedding
) -> None:
    first = segmenter.predict(car_embedding, KNOWN[0].box)
    alone = Prompt.points([], []).with_mask(first.low_res_logits[0])
    assert iou(segmenter.predict(car_embedding, alone).masks[0], KNOWN[0].mask) > 0.65


def test_a_mask_of_another_encoder_side_is_refused(
    segmenter: es.Segmenter, small_segmenter: es.Segmenter, car: U8, car_embedding: Embedding
) -> None:
    small = small_segmenter.predict(small_segmenter.encode(car), KNOWN[0].point)
    with pytest.raises(ShapeError, match="same encoder side"):
        segmenter.predict(car_embedding, KNOWN[0].point.with_mask(small.low_res_logits[0]))


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.point(600, 5),
        Prompt.box(600, 5, 700, 50),
        Prompt.point(5, 5, 0),
        Prompt.points(np.full((6, 2), 5.0), np.ones(6)),
        Prompt.points([], []),
    ],
    ids=["outside", "box outside", "background only", "six points", "nothing"],
)
def test_one_prompt_that_means_nothing_is_refused_among_good_ones(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, prompt: Prompt
) -> None:
    with pytest.raises(PromptError):
        segmenter.predict(astronaut_embedding, [Prompt.point(*FACE), prompt])


# Batches


def test_one_prompt_gives_one_mask_set_and_a_list_a_list(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    alone = segmenter.predict(astronaut_embedding, Prompt.point(*FACE))
    listed = segmenter.predict(astronaut_embedding, [Prompt.point(*FACE)])
    assert isinstance(alone, MaskSet)
    assert isinstance(listed, list)
    assert [len(alone), len(listed), len(listed[0])] == [1, 1, 1]


@pytest.mark.parametrize("multimask_output", [False, True])
def test_no_prompts_give_no_answers(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, multimask_output: bool
) -> None:
    found = segmenter.predict(astronaut_embedding, [], multimask_output=multimask_output)
    assert found == []


def test_prompts_may_come_in_a_tuple(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    prompts = (Prompt.point(*FACE), Prompt.point(*FLAG))
    assert len(segmenter.predict(astronaut_embedding, prompts)) == 2


@given(st.integers(0, 2000), st.integers(1, 200), st.integers(1, 8))
def test_shares_cover_all_in_order_and_none_is_too_large(n: int, most: int, lanes: int) -> None:
    made = list(shares(n, most, lanes))
    assert [i for s in made for i in range(*s.indices(n))] == list(range(n))
    sizes = [len(range(*s.indices(n))) for s in made]
    assert all(0 < size <= most for size in sizes)


@pytest.mark.parametrize(
    ("n", "most", "lanes", "sizes"),
    [
        (1, 128, 2, [1]),
        (7, 128, 2, [7]),  # too few to be worth a second call
        (97, 128, 2, [49, 48]),
        (22, 16, 2, [11, 11]),
        (1024, 128, 2, [128] * 8),
        (100, 16, 3, [12] * 8 + [4]),
    ],
)
def test_every_lane_gets_its_share(n: int, most: int, lanes: int, sizes: list[int]) -> None:
    assert [len(range(*s.indices(n))) for s in shares(n, most, lanes)] == sizes


# An engine call takes SCORE_CHUNK prompts, another makes MASK_CHUNK masks: around their ends.
@pytest.mark.parametrize(
    "n", [2, MASK_CHUNK, MASK_CHUNK + 1, SCORE_CHUNK, SCORE_CHUNK + 1, 2 * SCORE_CHUNK + 1]
)
def test_a_list_in_one_batch_is_answered_like_one_by_one(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, n: int
) -> None:
    prompts = scattered(n)
    together = segmenter.predict(astronaut_embedding, prompts)
    assert_same_answers(one_by_one(segmenter, astronaut_embedding, prompts), together)


@pytest.mark.parametrize("n", [9, SCORE_CHUNK + 1])
def test_earlier_masks_stay_with_their_prompts_in_a_batch(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, n: int
) -> None:
    prompts = scattered(n)
    masks = [found.low_res_logits[0] for found in segmenter.predict(astronaut_embedding, prompts)]
    mixed = [p.with_mask(masks[i]) if i % 2 else p for i, p in enumerate(prompts)]
    together = segmenter.predict(astronaut_embedding, mixed)
    assert_same_answers(one_by_one(segmenter, astronaut_embedding, mixed), together)


def test_the_answers_keep_the_order_of_the_prompts(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    prompts = scattered(SCORE_CHUNK + 5)
    order = np.random.default_rng(1).permutation(len(prompts)).tolist()
    straight = segmenter.predict(astronaut_embedding, prompts)
    shuffled = segmenter.predict(astronaut_embedding, [prompts[i] for i in order])
    assert_same_answers([straight[i] for i in order], shuffled)


@pytest.mark.parametrize("labels", [[1], [1, 0], [1, 1, 0], [1, 0, 0, 1]])
def test_longer_prompts_beside_it_do_not_change_an_answer(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, labels: list[int]
) -> None:
    short = Prompt.points([FACE, FLAG, MODEL, SUIT][: len(labels)], labels)
    long = Prompt.points([SUIT, FACE, HELMET, FLAG, MODEL], [1, 1, 1, 0, 0])
    alone = segmenter.predict(astronaut_embedding, short, multimask_output=True)
    beside = segmenter.predict(astronaut_embedding, [short, long], multimask_output=True)[0]
    assert_same_answers([alone], [beside])


# Several answers


def test_multimask_output_gives_all_answers_of_every_prompt(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, default_bundle: Bundle
) -> None:
    facts = default_bundle.manifest.decoder
    prompts = [Prompt.point(*FACE), Prompt.box(150, 0, 300, 200)]
    found = segmenter.predict(astronaut_embedding, prompts, multimask_output=True)
    assert [len(each) for each in found] == [facts.masks] * 2


def test_all_answers_of_a_batch_are_those_of_its_prompts(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    prompts = scattered(SCORE_CHUNK + 1)
    together = segmenter.predict(astronaut_embedding, prompts, multimask_output=True)
    alone = [segmenter.predict(astronaut_embedding, p, multimask_output=True) for p in prompts]
    assert_same_answers(alone, together)


def test_a_point_gets_the_best_scored_of_its_ambiguous_answers(
    segmenter: es.Segmenter, astronaut_embedding: Embedding, default_bundle: Bundle
) -> None:
    among = list(default_bundle.manifest.decoder.ambiguous_answers)
    for xy in (FACE, SUIT, HELMET, FLAG, MODEL):
        all_of_it = segmenter.predict(astronaut_embedding, Prompt.point(*xy), multimask_output=True)
        best = max(among, key=lambda i: float(all_of_it.predicted_iou[i]))
        chosen = segmenter.predict(astronaut_embedding, Prompt.point(*xy))
        assert_same_answers([all_of_it[best]], [chosen])


@pytest.mark.parametrize(
    "prompt",
    [Prompt.box(150, 0, 300, 200), Prompt.points([FACE, SUIT], [1, 1])],
    ids=["box", "two points"],
)
def test_a_clear_prompt_gets_the_answer_for_clear_prompts(
    segmenter: es.Segmenter,
    astronaut_embedding: Embedding,
    default_bundle: Bundle,
    prompt: Prompt,
) -> None:
    clear = default_bundle.manifest.decoder.clear_answer
    all_of_it = segmenter.predict(astronaut_embedding, prompt, multimask_output=True)
    chosen = segmenter.predict(astronaut_embedding, prompt)
    assert_same_answers([all_of_it[clear]], [chosen])


def test_scores_are_shares(segmenter: es.Segmenter, astronaut_embedding: Embedding) -> None:
    for found in segmenter.predict(astronaut_embedding, scattered(20), multimask_output=True):
        assert ((found.predicted_iou >= 0) & (found.predicted_iou <= 1)).all()
        assert found.predicted_iou.dtype == np.float32


def test_every_mask_knows_the_point_it_was_asked_with(
    segmenter: es.Segmenter, astronaut_embedding: Embedding
) -> None:
    prompts = [
        Prompt.point(*FLAG, 0) + Prompt.point(*FACE),
        Prompt.box(100, 200, 120, 260),
        Prompt.box(0, 0, 500, 500) + Prompt.point(*SUIT),
    ]
    found = segmenter.predict(astronaut_embedding, prompts)
    points = [each.point_coords.tolist() for each in found]
    assert points == [[list(FACE)], [[110, 230]], [list(SUIT)]]


# Pictures and embeddings


@pytest.mark.parametrize(
    "image_hw", [(120, 300), (300, 120), (200, 200), (1, 1), (1, 300), (400, 3), (1000, 1500)]
)
def test_masks_are_as_large_as_the_picture(
    small_segmenter: es.Segmenter, image_hw: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    embedding = small_segmenter.encode(pixels)
    h, w = image_hw
    found = small_segmenter.predict(embedding, Prompt.point(w / 2, h / 2))
    assert found.masks.shape == (1, h, w)
    assert embedding.image_hw == image_hw


def test_two_pictures_give_two_embeddings(
    segmenter: es.Segmenter, car: U8, car_embedding: Embedding
) -> None:
    turned = segmenter.encode(np.ascontiguousarray(car[::-1, ::-1]))
    for name, tensor in car_embedding.tensors.items():
        other = turned.tensors[name]
        assert np.linalg.norm(tensor - other) > 0.1 * np.linalg.norm(tensor), name


def test_the_same_picture_gives_the_same_bits(
    small_segmenter: es.Segmenter, car: U8, astronaut: U8
) -> None:
    first = small_segmenter.encode(car)
    small_segmenter.encode(astronaut)
    second = small_segmenter.encode(car)
    for name, tensor in first.tensors.items():
        assert tensor.tobytes() == second.tensors[name].tobytes(), name


def test_prompts_leave_the_embedding_as_it_is(
    small_segmenter: es.Segmenter, car: U8, default_bundle: Bundle
) -> None:
    embedding = small_segmenter.encode(car)
    before = {name: tensor.copy() for name, tensor in embedding.tensors.items()}
    small_segmenter.predict(embedding, KNOWN[0].point, multimask_output=True)
    for name, tensor in embedding.tensors.items():
        assert np.array_equal(tensor, before[name]), name


def test_the_picture_is_left_as_it_is(small_segmenter: es.Segmenter, car: U8) -> None:
    before = car.copy()
    small_segmenter.encode(car)
    assert np.array_equal(car, before)


def test_an_embedding_does_not_change_with_the_picture_it_was_made_of(
    small_segmenter: es.Segmenter, default_bundle: Bundle
) -> None:
    side = small_segmenter.encoder_side
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    embedding = small_segmenter.encode(pixels)
    before = embedding.tensors["pixels"].copy()
    pixels[:] = 0
    assert np.array_equal(embedding.tensors["pixels"], before)


@pytest.mark.parametrize(
    "view", [np.s_[:, ::-1], np.s_[..., ::-1], np.s_[::2, ::2]], ids=["mirrored", "BGR", "halved"]
)
def test_a_view_of_a_picture_is_encoded_like_a_copy(
    small_segmenter: es.Segmenter, car: U8, view: tuple[slice, ...]
) -> None:
    a, b = (small_segmenter.encode(p) for p in (car[view], car[view].copy()))
    assert np.array_equal(a.tensors["pixels"], b.tensors["pixels"])


def test_a_read_only_picture_is_encoded(small_segmenter: es.Segmenter, car: U8) -> None:
    fixed = car.copy()
    fixed.flags.writeable = False
    small_segmenter.encode(fixed)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))],
    ids=["grey", "RGBA", "float"],
)
def test_what_is_no_picture_is_refused_with_the_way_to_read_one(
    small_segmenter: es.Segmenter, pixels: U8
) -> None:
    with pytest.raises(ShapeError, match="read_image"):
        small_segmenter.encode(pixels)


def test_an_embedding_says_where_it_comes_from(
    small_segmenter: es.Segmenter, car: U8, default_bundle: Bundle
) -> None:
    embedding = small_segmenter.encode(car)
    assert embedding.bundle == default_bundle.label
    assert embedding.backend == small_segmenter.backend
    assert embedding.encoder_side == small_segmenter.encoder_side
    assert embedding.encode_ms > 0
    assert embedding.fit_ms > 0


def test_a_decoder_answers_on_embeddings_of_every_side(
    segmenter: es.Segmenter, small_segmenter: es.Segmenter, car: U8
) -> None:
    small = small_segmenter.encode(car)
    found = segmenter.predict(small, KNOWN[0].point)
    assert iou(found.masks[0], KNOWN[0].mask) > 0.85


def test_a_side_the_bundle_lacks_is_refused_with_those_it_has(default_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"no encoder of side 77 .* It has \d+, \d+"):
        Encoder(default_bundle, EngineOptions("onnxruntime"), 77)


# The parts


def test_only_the_masks_that_were_asked_for_are_made(
    decoder: Decoder, small_encoder: Encoder, astronaut: U8
) -> None:
    embedding = small_encoder.encode(astronaut)
    batch = from_prompts(scattered(5), embedding.fit, decoder.facts)
    scored = decoder.score(embedding, batch)
    rows, answers = np.array([4, 0, 4]), np.array([1, 0, 3])
    masks = decoder.masks(embedding, batch, scored, rows, answers).logits
    everything = decoder.predict(embedding, scattered(5), multimask_output=True)
    wanted = everything.low_res_logits.reshape(5, decoder.facts.masks, *masks.shape[1:])
    assert np.abs(masks - wanted[rows, answers]).max() < CLOSE


@pytest.mark.parametrize("image_hw", [(427, 640), (640, 427), (400, 400), (50, 640)])
def test_low_resolution_masks_cover_the_picture(
    segmenter: es.Segmenter, default_bundle: Bundle, image_hw: tuple[int, int]
) -> None:
    facts = default_bundle.manifest.decoder
    h, w = image_hw
    embedding = segmenter.encode(np.zeros((h, w, 3), np.uint8))
    found = segmenter.predict(embedding, Prompt.point(w / 2, h / 2))
    covered = embedding.fit.covered(facts.cut_multiple)
    assert found.low_res_logits.shape[1:] == tuple(n // facts.mask_stride for n in covered)
    assert found.low_res_logits.dtype == np.float32


def test_what_lies_in_the_padding_never_reaches_the_mask(segmenter: es.Segmenter, car: U8) -> None:
    embedding = segmenter.encode(np.ascontiguousarray(car[:427, :640]))
    found = segmenter.predict(embedding, Prompt.point(300, 60))
    cells = max(found.low_res_logits.shape)
    rows = math.ceil(found.fit.scaled_hw[0] * cells / found.fit.side)
    assert rows < found.low_res_logits.shape[1]
    other = found.low_res_logits.copy()
    other[:, rows:] = 99.0
    changed = MaskSet(other, found.predicted_iou, found.fit, found.mask_threshold)
    assert np.array_equal(changed.masks, found.masks)
