from __future__ import annotations

import numpy as np

from edgesam_rt.records import Prompt
from edgesam_rt.tracking import rivals
from edgesam_rt.tracking.appearance import Looks, moments
from edgesam_rt.tracking.track import Sighting, Track
from edgesam_rt.types import F32, Bool
from tests.unit.tracking.grids import two_kinds

BOTH: Bool = np.array([[False, True], [True, False]])
NONE: Bool = np.zeros((2, 2), np.bool_)


def block(left: int, right: int) -> F32:
    inside = np.zeros((6, 10), np.float32)
    inside[1:5, left:right] = 1
    return inside


def known(track_id: int) -> Track:
    inside = block(2, 5)
    return Track(track_id, Prompt.point(1, 1), looks=Looks(moments(two_kinds(inside), inside)))


def sighting(likeness: float) -> Sighting:
    return Sighting(np.zeros(4, np.float32), 0.1, 0.9, 0.9, likeness)


def test_two_objects_that_were_seen_compete() -> None:
    assert np.array_equal(rivals.rivalry([known(1), known(2)]), BOTH)


def test_a_new_object_and_one_that_it_lies_on_do_not_compete() -> None:
    new = Track(3, Prompt.point(1, 1))
    assert not rivals.rivalry([known(1), new]).any()
    hat, wearer = known(1), known(2)
    rivals.note_shared(hat, block(2, 4), [(wearer, block(2, 9))])
    assert not rivals.rivalry([hat, wearer]).any()


def test_objects_that_hardly_touch_compete() -> None:
    left, right = known(1), known(2)
    rivals.note_shared(left, block(0, 5), [(right, block(4, 9))])
    assert rivals.rivalry([left, right]).any()


def test_a_cell_is_left_to_the_likelier_rival() -> None:
    likely = np.stack([0.8 * block(0, 6), 0.9 * block(4, 9)])
    left, right = rivals.contested(likely, BOTH)
    assert (left[2] > 0).tolist() == [True] * 4 + [False] * 6
    assert np.array_equal(right, likely[1])
    assert np.array_equal(rivals.contested(likely, NONE), likely)


def test_a_pixel_belongs_to_one() -> None:
    logits = np.stack([4 * block(0, 6), 6 * block(4, 9)]) - 2
    apart = rivals.parted(logits, BOTH, 0.0)
    assert not ((apart[0] > 0) & (apart[1] > 0)).any()
    assert ((apart > 0).any(0) == (logits > 0).any(0)).all(), "and none is lost"
    assert np.array_equal(rivals.parted(logits, NONE, 0.0), logits)


def test_a_rival_that_sees_nothing_takes_nothing() -> None:
    logits = np.stack([4 * block(0, 6) - 5, 6 * block(4, 9) - 2])
    assert np.array_equal(rivals.parted(logits, BOTH, 0.0)[1], logits[1])


def test_of_two_that_cover_the_same_the_likelier_stays() -> None:
    inside = np.stack([block(2, 6), block(2, 6)])
    answers = [sighting(0.7), sighting(0.9)]
    assert rivals.beaten(inside, answers, BOTH).tolist() == [True, False]
    assert not rivals.beaten(inside, answers, NONE).any()
    apart = np.stack([block(0, 3), block(3, 6)])
    assert not rivals.beaten(apart, answers, BOTH).any()


def test_no_objects_have_no_rivals() -> None:
    assert rivals.rivalry([]).shape == (0, 0)
    nothing = np.zeros((0, 6, 10), np.float32)
    none = np.zeros((0, 0), np.bool_)
    assert rivals.parted(nothing, none, 0.0).shape == (0, 6, 10)
    assert rivals.beaten(nothing, [], none).shape == (0,)
    assert rivals.soft_iou(block(0, 0), block(0, 0)) == 0.0
