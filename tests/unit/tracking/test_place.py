from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgesam_rt.bundle import Bundle
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import from_prompts, low_res_hw
from edgesam_rt.records import BOX_TOP_LEFT, FOREGROUND, Prompt
from edgesam_rt.tracking.place import Place, find_places, nearness
from edgesam_rt.types import F32
from tests.unit.tracking.grids import STRIDE, make_cells

HW = (12, 16)
CELLS = make_cells(np.ones((*HW, 2), np.float32))


@pytest.fixture
def facts(default_bundle: Bundle) -> DecoderFacts:
    return default_bundle.manifest.decoder


def likely_at(*parts: tuple[slice, slice, float]) -> F32:
    likely = np.zeros(HW, np.float32)
    for rows, columns, chance in parts:
        likely[rows, columns] = chance
    return likely


def find_place(likely: F32, facts: DecoderFacts) -> Place:
    return find_places(likely, CELLS, facts, 1)[0]


def box_of(prompt: Prompt) -> list[float]:
    box: list[float] = prompt.point_coords[prompt.point_labels >= BOX_TOP_LEFT].ravel().tolist()
    return box


def test_an_object_is_most_likely_where_it_was() -> None:
    near = nearness(CELLS, np.array([32, 32, 64, 64], np.float32), 1)
    assert (near[4:8, 4:8] == 1).all()
    assert near[5, 9] < near[5, 8] < 1


def test_the_longer_it_was_not_seen_the_farther_it_may_be() -> None:
    box = np.array([32, 32, 64, 64], np.float32)
    shortly, long = (nearness(CELLS, box, frames)[5, 15] for frames in (1, 30))
    assert shortly < 0.01
    assert long > 0.9


def test_the_place_is_the_weightier_of_two_parts(facts: DecoderFacts) -> None:
    likely = likely_at((np.s_[1:3], np.s_[1:3], 0.9), (np.s_[6:10], np.s_[8:12], 0.7))
    place = find_place(likely, facts)
    assert box_of(place.prompt) == [8 * STRIDE, 6 * STRIDE, 12 * STRIDE, 10 * STRIDE]
    assert place.likely[1, 1] == 0
    assert place.likely[7, 9] == pytest.approx(0.7)


def test_a_lost_object_is_looked_for_at_the_weightiest_parts(facts: DecoderFacts) -> None:
    parts = [(np.s_[0:2], np.s_[4 * k : 4 * k + 2], 0.6 + k / 10) for k in range(4)]
    places = find_places(likely_at(*parts), CELLS, facts, 3)
    assert [box_of(place.prompt)[0] / STRIDE for place in places] == [12, 8, 4]


def test_the_prompt_has_box_point_and_mask_that_agree(facts: DecoderFacts) -> None:
    place = find_place(likely_at((np.s_[2:9], np.s_[3:8], 0.8)), facts)
    prompt = place.prompt
    left, top, right, bottom = box_of(prompt)
    x, y = prompt.point_coords[prompt.point_labels == FOREGROUND][0]
    assert left < x < right
    assert top < y < bottom
    mask = prompt.mask_input
    assert mask is not None
    assert mask.shape == low_res_hw(CELLS.fit, facts)
    per_px = mask.shape[1] / CELLS.fit.side
    assert mask[int(y * per_px), int(x * per_px)] > 0
    assert mask[0, 0] < 0
    assert len(from_prompts([prompt], CELLS.fit, facts)) == 1, "the decoder takes it"


def test_a_decoder_of_two_points_is_asked_without_the_third(facts: DecoderFacts) -> None:
    few = msgspec.structs.replace(facts, points_per_prompt=2)
    place = find_place(likely_at((np.s_[2:9], np.s_[3:8], 0.8)), few)
    assert len(from_prompts([place.prompt], CELLS.fit, few)) == 1


def test_a_decoder_of_whole_squares_gets_a_mask_of_the_square(facts: DecoderFacts) -> None:
    squares = msgspec.structs.replace(facts, cut_multiple=0)
    place = find_place(likely_at((np.s_[2:9], np.s_[3:8], 0.8)), squares)
    assert place.prompt.mask_input is not None
    side = CELLS.fit.side // squares.mask_stride
    assert place.prompt.mask_input.shape == (side, side)
    assert (place.prompt.mask_input[-1] < 0).all(), "the padding is not the object"


def test_where_nothing_is_likely_there_is_no_place(facts: DecoderFacts) -> None:
    assert find_places(np.full(HW, 0.5, np.float32), CELLS, facts, 3) == []


def test_a_part_at_the_edge_is_asked_for_within_the_picture(facts: DecoderFacts) -> None:
    place = find_place(likely_at((np.s_[11:12], np.s_[15:16], 1.0)), facts)
    place.prompt.on_image(CELLS.fit.image_hw)
