from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from edgesam_rt.drawing import colours, marks, overlay, shapes, strip
from edgesam_rt.drawing.palette import colour
from edgesam_rt.records import Prompt, Result, Timings
from edgesam_rt.types import I64, U8
from tests.result_doubles import make_masks, make_pixels, make_result


def changed(result: Result) -> I64:
    """(H, W) how far each pixel of the picture was changed by drawing."""
    h = result.frame.image_hw[0]
    drawn = overlay.draw(result)[:h].astype(int)
    difference: I64 = np.abs(drawn - result.frame.pixels).sum(2)
    return difference


def is_near(pixels: U8, rgb: tuple[int, int, int], reach: int = 30) -> bool:
    """Whether a colour is somewhere in a picture."""
    return bool((np.abs(pixels.astype(int) - rgb).max(-1) <= reach).any())


def test_the_picture_keeps_its_size_and_gets_a_strip_below() -> None:
    result = make_result(image_hw=(480, 640))
    drawn = overlay.draw(result)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (480 + strip.height(result), 640, 3)
    assert 20 < strip.height(result) < 100


def test_the_result_itself_is_not_changed() -> None:
    result = make_result()
    before = result.frame.pixels.copy()
    overlay.draw(result)
    assert np.array_equal(result.frame.pixels, before)


def test_masks_are_tinted_in_their_colours_and_the_rest_is_left_alone() -> None:
    result = make_result(prompts=())
    drawn = overlay.draw(result)
    y, x = 85, 55  # inside the first object, off its tag
    expected = result.frame.pixels[y, x] * 0.55 + np.array(colour(1)) * 0.45
    assert np.abs(drawn[y, x] - expected).max() <= 2
    assert changed(result)[110:, :15].max() == 0


def test_a_small_object_on_a_large_one_stays_visible_whatever_its_place_in_the_list() -> None:
    big, small = (10, 10, 150, 110), (60, 70, 90, 100)
    for boxes, small_id in (((big, small), 2), ((small, big), 1)):
        drawn = overlay.draw(make_result(boxes=boxes, prompts=()))
        source = make_pixels((120, 160))[85, 75]
        expected = source * 0.55 + np.array(colour(small_id)) * 0.45
        assert np.abs(drawn[85, 75] - expected).max() <= 2


def test_outlines_are_drawn_at_the_edge_of_the_mask() -> None:
    result = make_result(boxes=((40, 30, 120, 90),), prompts=())
    drawn = overlay.draw(result)
    assert is_near(drawn[80, 36:46], colour(1))
    assert is_near(drawn[80, 36:46], (18, 18, 20))  # and their dark rim


def test_points_and_boxes_of_the_prompt_are_drawn() -> None:
    prompts = (Prompt.point(30, 60) + Prompt.point(80, 100, 0), Prompt.box(100, 20, 140, 60))
    without = overlay.draw(make_result(prompts=()))
    drawn = overlay.draw(make_result(prompts=prompts))
    difference = np.abs(drawn.astype(int) - without).sum(2)
    for x, y in ((30, 60), (80, 100)):
        assert difference[y - 3 : y + 4, x - 3 : x + 4].any()
    assert is_near(drawn[20, 101:139], colour(2))


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 3000), (3000, 1), (2, 2), (9, 200), (200, 9)])
def test_pictures_of_odd_shapes_are_drawn(image_hw: tuple[int, int]) -> None:
    h, w = image_hw
    prompts = (Prompt.point(w / 2, h / 2), Prompt.box(-9e8, -9e8, 9e8, 9e8))
    result = make_result(image_hw=image_hw, boxes=((0, 0, w, h), (0, 0, w, h)), prompts=prompts)
    drawn = overlay.draw(result, fps=25.0)
    assert drawn.shape == (h + strip.height(result), w, 3)


def test_no_objects_and_empty_masks_are_drawn_as_the_picture() -> None:
    for boxes in ((), ((500, 500, 600, 600),)):
        result = make_result(boxes=boxes, prompts=())
        assert changed(result).max() == 0


def test_a_full_mask_is_drawn() -> None:
    result = make_result(boxes=((-500, -500, 900, 900),), prompts=())
    assert (changed(result) > 0).mean() > 0.9


def test_every_one_of_a_few_objects_has_its_tag() -> None:
    boxes = tuple((10 + 90 * i, 40, 34 + 90 * i, 64) for i in range(5))  # too small for tags inside
    drawn = overlay.draw(make_result(image_hw=(120, 640), boxes=boxes, prompts=()))
    for i, (left, top, right, bottom) in enumerate(boxes, 1):
        around = drawn[:top, left - 5 : right + 40], drawn[bottom:120, left - 5 : right + 40]
        solid = [(np.abs(part.astype(int) - colour(i)).max(2) <= 2).sum() for part in around]
        assert max(solid) > 200


def test_the_strip_is_as_high_in_every_frame_of_a_run() -> None:
    slow = Timings(100, 100, 88.8, 88.8, 88.8, 300)
    for width in (160, 320, 480, 640, 1920):
        image_hw = (64, width)
        first = strip.height(make_result(image_hw=image_hw))
        later = make_result(image_hw=image_hw, timings=slow, dropped={"late": 12, "full": 3})
        assert strip.height(later) == first
        assert overlay.draw(later, fps=29.97).shape[0] == 64 + first


def test_strange_numbers_and_letters_do_not_stop_the_strip() -> None:
    nan, inf = float("nan"), float("inf")
    result = make_result(timings=Timings(0, 0, nan, inf, 0, nan), backend="tensör-日本")
    overlay.draw(result, fps=0.0)
    overlay.draw(make_result(timings=Timings()))


def test_live_use_costs_milliseconds() -> None:
    boxes = tuple((x, y, x + 60, y + 50) for x in range(0, 640, 70) for y in range(0, 420, 70))
    many = make_result(image_hw=(480, 640), boxes=boxes, prompts=())
    for result, limit_s in ((make_result(image_hw=(480, 640)), 0.03), (many, 0.15)):
        overlay.draw(result)  # the runs are made once
        times = []
        for _ in range(5):
            start = time.perf_counter()
            overlay.draw(result)
            times.append(time.perf_counter() - start)
        assert min(times) < limit_s  # 2.5 and 10 ms on a desktop; wide, for slow and busy machines


def test_masks_of_touching_edges_are_cut_out_exactly() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x0, x1 = sorted(rng.integers(0, 161, 2).tolist())
        y0, y1 = sorted(rng.integers(0, 121, 2).tolist())
        masks = make_masks([(x0, y0, x1 + 1, y1 + 1)], (120, 160))
        if masks.areas[0]:
            left, top, right, bottom = masks.boxes_xyxy[0].astype(int).tolist()
            cut = shapes.cut_out(masks, 0, (left, top, right, bottom))
            assert np.array_equal(cut.astype(bool), masks.masks[0, top:bottom, left:right])


# Many objects


def many(count: int, image_hw: tuple[int, int] = (480, 640), **changes: Any) -> Result:
    """So many boxes that lie on each other, from one corner of the picture to the other."""
    rng = np.random.default_rng(0)
    h, w = image_hw
    boxes = []
    for _ in range(count):
        x, y = rng.integers(0, w - 30), rng.integers(0, h - 30)
        boxes.append((x, y, x + rng.integers(16, 200), y + rng.integers(16, 200)))
    return make_result(image_hw=image_hw, boxes=boxes, prompts=(), **changes)


def test_of_hundreds_of_objects_tags_cover_a_part_of_the_picture_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    covered = []
    monkeypatch.setattr(marks, "_draw_tag", lambda *args: covered.append(args[3]))
    overlay.draw(many(300))
    assert len(covered) > 20
    assert sum(w * h for w, h in covered) <= 0.12 * 480 * 640


def test_a_small_object_hides_the_outlines_below_it_if_there_are_many() -> None:
    crowd = tuple((600 - i, 440 - i, 620, 460) for i in range(15))
    boxes = ((10, 10, 300, 300), (200, 200, 400, 400), *crowd)  # the second is smaller
    result = make_result(image_hw=(480, 640), boxes=boxes, prompts=())
    drawn, ink = overlay.draw(result), colours.of(result)[0]
    assert is_near(drawn[296:304, 20:190], ink, reach=8)  # the first one's lower edge
    assert not is_near(drawn[296:304, 220:290], ink, reach=8)


def test_few_objects_and_prompted_ones_have_the_colours_of_their_ids() -> None:
    ids = [colour(i) for i in range(1, 31)]
    assert colours.of(many(12)) == ids[:12]
    boxes = [(i * 10, 5, i * 10 + 9, 60) for i in range(30)]
    assert colours.of(make_result(image_hw=(120, 320), boxes=boxes)) == ids
    assert len(colours.of(many(30))) == 30


def test_neighbours_are_of_unlike_colours() -> None:
    boxes = [(x, y, x + 40, y + 40) for y in range(0, 400, 40) for x in range(0, 600, 40)]
    inks = np.array(colours.of(make_result(image_hw=(400, 600), boxes=boxes, prompts=())))
    grid = inks.reshape(10, 15, 3).astype(int)
    for axis in (0, 1):
        assert np.abs(np.diff(grid, axis=axis)).max(-1).min() > 50


def test_hundreds_of_objects_that_are_all_empty_or_all_the_same_are_drawn() -> None:
    for box in ((900, 900, 950, 950), (5, 5, 100, 100)):
        overlay.draw(make_result(image_hw=(120, 160), boxes=(box,) * 60, prompts=()))
