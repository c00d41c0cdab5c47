from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.types import F64, Bool
from tests.oracles import hierarchical
from tests.oracles.hierarchical import Options
from tests.oracles.made_up import SIDE, Answer, MadeUp, encode, patch

PICTURE = np.zeros((SIDE, SIDE, 3), np.uint8)
EIGHT = Options(points_per_side=8)


def nowhere(image_hw: tuple[int, int]) -> Bool:
    return np.zeros(image_hw, np.bool_)


def asked(image_hw: tuple[int, int], options: Options) -> tuple[F64, F64]:
    coarse = hierarchical.coarse_points(options, image_hw)
    return coarse, hierarchical.fine_points(coarse, nowhere(image_hw), options)


def test_where_nothing_is_confident_the_two_passes_make_tinysams_lattices() -> None:
    options = Options()
    coarse, fine = asked((640, 640), options)
    assert (len(coarse), len(fine)) == (64, 897)  # 31 x 31 where 32 divides the width
    both = np.concatenate([coarse, fine])
    assert len(np.unique(both, axis=0)) == 31 * 31
    assert (both % 20 == 0).all()
    coarse, fine = asked((639, 639), options)
    assert (len(coarse), len(fine)) == (64, 960)  # else 32 x 32
    assert len(np.unique(np.concatenate([coarse, fine]).round(6), axis=0)) == 1024


def test_coarse_points_lie_in_the_middle_of_equal_cells() -> None:
    coarse = hierarchical.coarse_points(Options(), (300, 400))
    assert coarse[:2].tolist() == [[25.0, 18.75], [75.0, 18.75]]
    assert len(coarse) == 64


def test_points_on_confident_pixels_are_not_asked() -> None:
    options = Options()
    coarse = hierarchical.coarse_points(options, (640, 640))
    left = nowhere((640, 640))
    left[:, :320] = True
    fine = hierarchical.fine_points(coarse, left, options)
    assert (fine[:, 0] >= 320).all()
    low = nowhere((640, 640))
    low[320:] = True  # rows are y: nothing is transposed
    assert (hierarchical.fine_points(coarse, low, options)[:, 1] < 320).all()


@pytest.mark.parametrize("image_hw", [(1, 1), (2, 300), (20, 20), (31, 33)])
def test_in_a_tiny_picture_all_points_lie_inside(image_hw: tuple[int, int]) -> None:
    _, fine = asked(image_hw, Options())
    assert (fine >= 0).all()
    assert (fine < np.array(image_hw[::-1])).all()


def test_a_second_pass_without_points_is_no_error() -> None:
    everywhere = MadeUp(lambda *_: Answer(patch((0, 0, SIDE, SIDE), inside=9.0), 0.9))
    found = hierarchical.generate(everywhere, encode, PICTURE, EIGHT)
    assert sum(map(len, everywhere.asked)) == 4
    assert len(found) == 1


def test_only_kept_masks_make_pixels_confident() -> None:
    for answer in (
        Answer(patch((0, 0, SIDE, SIDE), inside=9.0), 0.5),  # too bad a score
        Answer(patch((0, 0, SIDE, SIDE), inside=8.5), 0.9),  # not above the threshold
    ):
        decoder = MadeUp(lambda *_, answer=answer: answer)  # type: ignore[misc]
        hierarchical.generate(decoder, encode, PICTURE, EIGHT)
        assert sum(map(len, decoder.asked)) == 7 * 7


def test_both_passes_compete_by_score_and_of_equals_the_fine_one_wins() -> None:
    box = (8, 8, 24, 24)
    equal = MadeUp(lambda *_: Answer(patch(box, inside=5.0), 0.9))
    found = hierarchical.generate(equal, encode, PICTURE, EIGHT)
    assert len(found) == 1
    assert found[0].point not in {(16.0, 16.0), (48.0, 16.0), (16.0, 48.0), (48.0, 48.0)}
    coarse_best = MadeUp(
        lambda x, y: Answer(patch(box, inside=5.0), 0.95 if (x, y) == (48.0, 16.0) else 0.9)
    )
    found = hierarchical.generate(coarse_best, encode, PICTURE, EIGHT)
    assert [f.point for f in found] == [(48.0, 16.0)]
    assert found[0].crop_box == (0, 0, SIDE, SIDE)
