"""The tracker with the engines that ship, on pictures whose truth is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt.bench.protocols import iou, tight_box
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import PromptError
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.tracking.tracker import Moment, Tracker
from edgesam_rt.types import U8
from tests.tracking_scenes import BLUE, HW, RADIUS, RED, disc, ground, shapes, with_discs

MS = 1_000_000


class Follower:
    """A tracker that is shown pictures."""

    def __init__(self, encode: Callable[[U8], es.Embedding], decoder: Decoder, bundle: Bundle):
        self.tracker = Tracker()
        self.encode, self._decoder = encode, decoder
        self._reader = CellReader.of(bundle, "onnxruntime", bundle.sides("onnxruntime")[-1])
        self._frame = 0

    def show(self, pixels: U8, *, skip: int = 0, may_search: bool = True) -> MaskSet:
        """The next picture, after `skip` lost ones; 40 ms apart."""
        self._frame += skip
        embedding = self.encode(pixels)
        moment = Moment(self._frame, self._frame * 40 * MS, may_search)
        self._frame += 1
        cells = self._reader.read(embedding)
        return self.tracker.update(self._decoder, embedding, cells, moment)


@pytest.fixture
def follower(small_encoder: Encoder, decoder: Decoder, default_bundle: Bundle) -> Follower:
    return Follower(small_encoder.encode, decoder, default_bundle)


def states(masks: MaskSet) -> list[str]:
    return [track.state for track in masks.tracks]


def box_at(x: float, y: float) -> Prompt:
    return Prompt.box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)


def lose(follower: Follower, count: int = 3) -> None:
    for _ in range(count):
        assert states(follower.show(ground())) == ["lost"]


def test_shapes_that_move_and_hide_each_other_are_followed(follower: Follower) -> None:
    camera = shapes()
    names = {follower.tracker.add(tight_box(t.mask)): t.name for t in camera.truth(0)}
    scores: dict[str, list[float]] = {name: [] for name in names.values()}
    for i in range(60):
        found = follower.show(camera.draw(i))
        truths = {t.name: t.mask for t in camera.truth(i)}
        for k, track in enumerate(found.tracks):
            name = names[track.track_id]
            scores[name].append(iou(found.masks[k], truths[name]))
    means = {name: float(np.mean(each)) for name, each in scores.items()}
    assert min(means.values()) > 0.85, means


def test_a_pixel_belongs_to_one_of_two_that_meet(follower: Follower) -> None:
    follower.tracker.add(box_at(80, 120))
    follower.tracker.add(box_at(240, 120))
    for step in range(0, 60, 10):
        found = follower.show(with_discs((80 + step, 120, RED), (240 - step, 120, BLUE)))
    assert states(found) == ["tracked", "tracked"]
    assert not found.masks.all(0).any()


def test_one_that_leaves_is_lost_and_re_acquired_where_it_comes_back(follower: Follower) -> None:
    follower.tracker.add(box_at(80, 120))
    for x in (80, 90, 100):
        assert states(follower.show(with_discs((x, 120, RED)))) == ["tracked"]
    lost = [follower.show(ground()) for _ in range(8)]
    assert all(states(found) == ["lost"] for found in lost)
    assert all(found.areas.tolist() == [0] for found in lost)
    assert [found.tracks[0].unseen_ms for found in lost] == [40.0 * i for i in range(1, 9)]
    back = follower.show(with_discs((250, 80, RED)))
    assert states(back) == ["re-acquired"]
    assert back.tracks[0].unseen_ms == 0
    assert iou(back.masks[0], disc(250, 80)) > 0.8
    assert states(follower.show(with_discs((245, 80, RED)))) == ["tracked"]


def test_another_thing_is_not_taken_for_one_that_was_lost(
    follower: Follower, astronaut: U8
) -> None:
    follower.tracker.add(box_at(80, 120))
    follower.show(with_discs((80, 120, RED)))
    lose(follower)
    other = ground()
    other[80:170, 40:110] = astronaut[20:200:2, 170:310:2]  # a face, as large as the disc
    assert states(follower.show(other)) == ["lost"]
    other[disc(220, 120)] = RED
    found = follower.show(other, skip=5)  # the longer, the farther it is looked for
    assert states(found) == ["re-acquired"]
    assert iou(found.masks[0], disc(220, 120)) > 0.8


def test_without_time_a_lost_object_is_not_looked_for(follower: Follower) -> None:
    follower.tracker.add(box_at(80, 120))
    picture = with_discs((80, 120, RED))
    follower.show(picture)
    lose(follower)
    assert states(follower.show(picture, may_search=False)) == ["lost"]
    assert states(follower.show(picture)) == ["re-acquired"]


def test_a_scene_cut_loses_the_object_until_the_scene_is_back(
    follower: Follower, astronaut: U8
) -> None:
    follower.tracker.add(box_at(80, 120))
    follower.show(with_discs((80, 120, RED)))
    assert states(follower.show(astronaut)) == ["lost"]
    assert states(follower.show(astronaut)) == ["lost"]
    assert states(follower.show(with_discs((85, 120, RED)))) == ["re-acquired"]


def test_a_picture_of_another_size_is_the_same_scene(follower: Follower) -> None:
    import cv2

    follower.tracker.add(box_at(80, 120))
    follower.show(with_discs((80, 120, RED)))
    larger = np.asarray(cv2.resize(with_discs((85, 120, RED)), (480, 360)), np.uint8)
    found = follower.show(larger)
    assert states(found) == ["tracked"]
    assert found.image_hw == (360, 480)
    assert found.boxes_xyxy[0] == pytest.approx([82.5, 135, 172.5, 225], abs=6)


def test_another_encoder_side_goes_on_where_the_first_stopped(
    follower: Follower, segmenter: es.Segmenter
) -> None:
    follower.tracker.add(box_at(80, 120))
    follower.show(with_discs((80, 120, RED)))
    follower.encode = segmenter.encode
    found = follower.show(with_discs((90, 120, RED)))
    assert states(found) == ["tracked"]
    assert iou(found.masks[0], disc(90, 120)) > 0.85


def test_over_lost_frames_an_object_may_have_moved_farther(follower: Follower) -> None:
    follower.tracker.add(box_at(60, 120))
    follower.show(with_discs((60, 120, RED)))
    found = follower.show(with_discs((200, 120, RED)), skip=10)
    assert states(found) == ["tracked"]
    assert iou(found.masks[0], disc(200, 120)) > 0.85


def test_no_objects_are_no_masks(follower: Follower) -> None:
    found = follower.show(ground())
    assert len(found) == len(found.tracks) == 0


def test_a_prompt_on_nothing_is_lost_until_there_is_something(follower: Follower) -> None:
    track_id = follower.tracker.add(box_at(80, 120))
    follower.show(with_discs((80, 120, RED)))
    assert follower.tracker.remove(track_id)
    assert len(follower.show(ground())) == 0


def test_ids_are_never_used_again(follower: Follower) -> None:
    tracker = follower.tracker
    first = tracker.add(box_at(80, 120))
    second = tracker.add(box_at(200, 120))
    assert tracker.remove(second)
    assert not tracker.remove(second), "it is gone"
    third = tracker.add(box_at(200, 120))
    assert len({first, second, third}) == 3
    assert tracker.track_ids == (first, third)
    found = follower.show(with_discs((80, 120, RED), (200, 120, BLUE)))
    assert [t.track_id for t in found.tracks] == [first, third]


def test_an_object_may_be_added_later(follower: Follower) -> None:
    follower.tracker.add(box_at(80, 120))
    picture = with_discs((80, 120, RED), (200, 120, BLUE))
    follower.show(picture)
    follower.tracker.add(Prompt.point(200, 120))
    found = follower.show(picture)
    assert states(found) == ["tracked", "tracked"]
    assert iou(found.masks[1], disc(200, 120)) > 0.85


def test_a_part_and_its_whole_may_both_be_followed(follower: Follower) -> None:
    for box in (box_at(160, 120), Prompt.box(130, 90, 190, 120)):
        follower.tracker.add(box)
    for _ in range(3):
        pixels = with_discs((160, 120, RED))
        pixels[:120][disc(160, 120)[:120]] = BLUE
        found = follower.show(pixels)
    assert states(found) == ["tracked", "tracked"]
    whole, part = found.masks
    assert part.any()
    assert (whole & part).sum() > 0.8 * part.sum()


def test_a_prompt_outside_of_the_picture_is_refused(follower: Follower) -> None:
    follower.tracker.add(Prompt.point(HW[1] + 50, 10))
    with pytest.raises(PromptError, match="outside"):
        follower.show(ground())


def test_objects_may_come_and_go_from_another_thread(follower: Follower) -> None:
    picture, done = with_discs((80, 120, RED)), threading.Event()
    given: list[int] = []

    def change() -> None:
        while not done.is_set():
            given.append(follower.tracker.add(box_at(80, 120)))
            follower.tracker.remove(given[-1])

    other = threading.Thread(target=change)
    other.start()
    seen: list[Sequence[int]] = []
    try:
        for _ in range(10):
            found = follower.show(picture)
            seen.append([t.track_id for t in found.tracks])
            assert len(found) == len(found.tracks)
    finally:
        done.set()
        other.join()
    assert len(given) == len(set(given)) > 10
    assert follower.tracker.track_ids == ()
