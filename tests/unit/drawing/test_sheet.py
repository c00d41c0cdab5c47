from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.drawing import colours, sheet
from edgesam_rt.records import Result
from edgesam_rt.types import U8
from tests.result_doubles import make_result

BOX = (20, 30, 90, 100)


def with_count(count: int, image_hw: tuple[int, int] = (120, 160)) -> Result:
    boxes = [(5 + i % 50, 5 + i % 40, 60 + i % 90, 60 + i % 55) for i in range(count)]
    return make_result(image_hw=image_hw, boxes=boxes, prompts=())


def has(pixels: U8, rgb: tuple[int, int, int], reach: int = 6) -> bool:
    return bool((np.abs(pixels.astype(int) - rgb).max(-1) <= reach).any())


@pytest.mark.parametrize("count", [0, 1, 2, 13, 48, 49, 201, 700])
def test_a_sheet_has_a_card_for_every_mask(count: int) -> None:
    result = with_count(count)
    drawn = sheet.draw(result)
    layout = sheet._Layout.of(count)
    assert drawn.dtype == np.uint8
    assert drawn.shape[:2] == layout.sheet_hw
    for i, ink in enumerate(colours.of(result)):
        x, y = layout.card(i)
        card = drawn[y : y + layout.card_h, x : x + layout.side]
        assert card.shape[:2] == (layout.card_h, layout.side)
        assert has(card, ink)


def test_sheets_of_many_are_about_as_wide_as_a_screen_is() -> None:
    for count in (20, 100, 500):
        h, w = sheet._Layout.of(count).sheet_hw
        assert 1 < w / h < 2


def test_the_object_is_in_full_light_and_the_rest_is_dim() -> None:
    result = make_result(boxes=(BOX,), prompts=())
    result.frame.pixels[:] = 200
    drawn = sheet.draw(result)
    layout = sheet._Layout.of(1)
    x, y = layout.card(0)
    thumb = drawn[y : y + layout.side, x : x + layout.side]
    middle, corner = thumb[layout.side // 2, layout.side // 2], thumb[2, 2]
    assert (middle == 200).all()
    assert (corner < 60).all()


def test_the_result_itself_is_not_changed() -> None:
    result = with_count(3)
    before = result.frame.pixels.copy()
    sheet.draw(result)
    assert np.array_equal(result.frame.pixels, before)


def test_an_empty_mask_has_a_card_without_a_picture() -> None:
    drawn = sheet.draw(make_result(boxes=((500, 500, 600, 600),), prompts=()))
    assert drawn.shape[:2] == sheet._Layout.of(1).sheet_hw


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_pictures_of_odd_shapes_have_sheets(image_hw: tuple[int, int]) -> None:
    h, w = image_hw
    result = make_result(image_hw=image_hw, boxes=((-9, -9, w + 9, h + 9),) * 2, prompts=())
    assert sheet.draw(result).shape[2] == 3


def test_a_long_name_stays_on_the_sheet() -> None:
    result = with_count(1)
    frame = result.frame.__class__(0, result.frame.pixels, 0, "ñame" * 100)
    sheet.draw(make_result(boxes=(BOX,), prompts=(), frame=frame))
