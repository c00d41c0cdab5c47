from __future__ import annotations

import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt.errors import ConfigError, PromptError
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.instances.masks import NOTHING, contains
from edgesam_rt.records import Embedding, Prompt
from edgesam_rt.types import F32, U8, Bool
from tests.instances.colour_net import shape_mask
from tests.instances.made_up import made_up, placed
from tests.instances.workplace import DECODER
from tests.oracles import one_shot
from tests.oracles.one_shot import Thresholds

ROUNDING_PX = 4
# Places in `shapes`, px: shapes_picture's own places times 440 / 256.
IN_RED, IN_WHITE, IN_GREEN, IN_BLUE, ON_GROUND = (
    (80, 100),
    (205, 107),
    (310, 70),
    (310, 220),
    (8, 8),
)


def points(*places: tuple[int, int], no: tuple[tuple[int, int], ...] = ()) -> Prompt:
    return Prompt.points([*places, *no], [1] * len(places) + [0] * len(no))


def alike(mask: Bool, pixels: U8, *names: str) -> bool:
    """Whether a mask is these shapes together, but for their outlines."""
    wanted: Bool = np.any([shape_mask(pixels, name) for name in names], 0)
    return bool((mask & wanted).sum() > 0.95 * (mask | wanted).sum())


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        (points(IN_RED), ["red"]),
        (points(IN_WHITE), ["white"]),  # "whole" contains it too, and is less sure
        (points(IN_GREEN), ["green"]),
        (points(IN_WHITE, IN_RED), ["whole"]),  # one instance has both
        (points(IN_GREEN, IN_BLUE), ["green", "blue"]),  # none has: they are joined
        (points(IN_RED, no=(IN_WHITE,)), ["red"]),
        (points(IN_WHITE, no=(IN_RED,)), ["white"]),
        (points(IN_RED, IN_WHITE, no=(ON_GROUND,)), ["whole"]),
        (points(IN_GREEN, IN_BLUE, no=(IN_BLUE,)), ["green"]),
        (points(IN_GREEN, ON_GROUND), ["green"]),  # the other point lies in nothing
    ],
)
def test_points_mean_the_instances_they_lie_in(
    seg: es.Segmenter, embedding: Embedding, shapes: U8, prompt: Prompt, names: list[str]
) -> None:
    found = seg.predict(embedding, prompt)
    assert alike(found.masks[0], shapes, *names)
    assert found.predicted_iou[0] > 0.9


@pytest.mark.parametrize(
    "prompt",
    [points(ON_GROUND), points(IN_RED, no=(IN_RED,)), Prompt.box(2, 2, 9, 9)],
    ids=["ground", "excluded", "box on ground"],
)
def test_where_nothing_is_meant_the_mask_is_empty(
    seg: es.Segmenter, embedding: Embedding, prompt: Prompt
) -> None:
    found = seg.predict(embedding, prompt)
    assert (len(found), found.masks.sum(), found.predicted_iou.tolist()) == (1, 0, [0.0])
    assert (found.low_res_logits == NOTHING).all()
    assert found.boxes_xyxy.tolist() == [[0, 0, 0, 0]]
    assert not seg.predict(embedding, prompt, multimask_output=True).masks.any()


def test_a_box_means_the_instance_whose_box_is_most_like_it(
    seg: es.Segmenter, embedding: Embedding, shapes: U8
) -> None:
    for name in ("red", "white", "whole", "green", "blue", "yellow"):
        y, x = np.nonzero(shape_mask(shapes, name))
        box = Prompt.box(x.min() - 3, y.min() + 2, x.max() + 4, y.max() - 1)
        assert alike(seg.predict(embedding, box).masks[0], shapes, name), name


def test_points_beside_a_box_choose_among_those_like_it(
    seg: es.Segmenter, embedding: Embedding, shapes: U8
) -> None:
    y, x = np.nonzero(shape_mask(shapes, "whole"))
    box = Prompt.box(x.min(), y.min(), x.max(), y.max())
    assert alike(seg.predict(embedding, box).masks[0], shapes, "whole")
    without = box + Prompt.point(*IN_WHITE, 0)
    assert alike(seg.predict(embedding, without).masks[0], shapes, "red")
    assert alike(seg.predict(embedding, box + Prompt.point(*IN_WHITE)).masks[0], shapes, "whole")


def test_all_answers_are_the_best_one_and_then_single_instances(
    seg: es.Segmenter, embedding: Embedding, shapes: U8
) -> None:
    found = seg.predict(embedding, points(IN_WHITE), multimask_output=True)
    assert len(found) == DECODER.masks == 4
    assert [alike(m, shapes, "white") for m in found.masks[:2]] == [True, True]
    assert alike(found.masks[2], shapes, "whole")
    assert (np.diff(found.predicted_iou[1:]) <= 0).all()


def test_many_prompts_have_the_answers_of_each_alone(
    seg: es.Segmenter, embedding: Embedding
) -> None:
    prompts = [points(IN_RED), Prompt.box(2, 2, 9, 9), points(IN_GREEN, IN_BLUE), points(IN_WHITE)]
    for several in (False, True):
        together = seg.predict(embedding, prompts, multimask_output=several)
        alone = [seg.predict(embedding, p, multimask_output=several) for p in prompts]
        assert [m.rle() for m in together] == [m.rle() for m in alone]
        assert [m.point_coords.tolist() for m in together] == [
            m.point_coords.tolist() for m in alone
        ]
    assert seg.predict(embedding, []) == []


@pytest.mark.parametrize("seed", range(8))
def test_answers_are_those_of_the_plain_postprocessing(decoder: InstanceDecoder, seed: int) -> None:
    image_hw = [(96, 128), (200, 131)][seed % 2]
    h, w = image_hw
    given = made_up(decoder, image_hw, 60, 20 + seed)
    found = one_shot.instances(given.tensors, placed(given), Thresholds())
    rng = np.random.default_rng(seed)
    prompts, wanted = [], []
    for _ in range(6):
        count = int(rng.integers(1, 4))
        xy, labels = rng.uniform(0, 1, (count, 2)) * [w, h], rng.integers(0, 2, count)
        labels[0] = 1
        asked = [(x, y, label) for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True)]
        prompts.append(Prompt.points(xy, labels))
        wanted.append(one_shot.by_points(found, asked))
        low = rng.uniform(0, 0.5, 2) * [w, h]
        x0, y0, x1, y1 = (*low, *(low + rng.uniform(0.2, 0.5, 2) * [w, h]))
        prompts.append(Prompt.box(x0, y0, x1, y1))
        wanted.append(one_shot.by_box(found, (x0, y0, x1, y1)))
    made = decoder.predict(given, prompts)
    off = [int((a ^ b).sum()) for a, b in zip(made.each_mask(), wanted, strict=True)]
    assert max(off) <= ROUNDING_PX
    assert sum(m.any() for m in wanted) >= 6


def test_a_point_is_in_an_instance_exactly_if_its_mask_has_the_pixel(
    decoder: InstanceDecoder,
) -> None:
    given = made_up(decoder, (77, 101), 40, 9)
    found = decoder.find(given)
    y, x = np.mgrid[:77, :101]
    every: F32 = (np.stack([x.ravel(), y.ravel()], 1) + 0.5).astype(np.float32)
    hits = contains(given, found, every, 0.0)
    plain = one_shot.instances(given.tensors, placed(given), Thresholds())
    for row, instance in zip(hits, plain, strict=True):
        assert (row.reshape(77, 101) ^ instance.mask).sum() <= ROUNDING_PX


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt.point(9999, 3), "lies outside"),
        (Prompt.point(3, 3, 0), "needs a foreground point"),
        (Prompt.point(3, 3).with_mask(np.zeros((48, 64), np.float32)), "does not look at"),
    ],
)
def test_a_prompt_that_means_nothing_is_refused(
    seg: es.Segmenter, embedding: Embedding, prompt: Prompt, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        seg.predict(embedding, prompt)


def test_an_embedding_of_another_bundle_is_refused(
    decoder: InstanceDecoder, car_embedding: Embedding
) -> None:
    with pytest.raises(ConfigError, match=r"colours 1 was given an embedding that pocketsam"):
        decoder.predict(car_embedding, [points(IN_RED)])
