"""The shipped double: always the same, and it tells the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.cameras import open_camera, parse_source
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.errors import EndOfStream
from tests.camera_doubles import ManualClock

SMALL = (96, 64)


def test_a_frame_looks_the_same_every_time() -> None:
    one, other = SyntheticCamera(size_wh=SMALL), SyntheticCamera(size_wh=SMALL)
    for _ in range(3):
        a, b = one.read(0), other.read(0)
        assert a is not None
        assert b is not None
        assert np.array_equal(a.pixels, b.pixels)
        assert np.array_equal(a.pixels, one.draw(a.frame_id))


def test_frames_differ_in_time_and_by_seed() -> None:
    camera = SyntheticCamera(size_wh=SMALL)
    assert not np.array_equal(camera.draw(0), camera.draw(1))
    assert not np.array_equal(camera.draw(0), SyntheticCamera(size_wh=SMALL, seed=1).draw(0))


@settings(max_examples=30, deadline=None)
@given(
    frame_id=st.integers(0, 10_000),
    seed=st.integers(0, 99),
    size_wh=st.tuples(st.integers(16, 120), st.integers(16, 120)),
)
def test_truth_has_disjoint_masks_and_a_point_in_each(
    frame_id: int, seed: int, size_wh: tuple[int, int]
) -> None:
    camera = SyntheticCamera(size_wh=size_wh, seed=seed)
    truth = camera.truth(frame_id)
    assert truth
    assert sum(t.mask.astype(int) for t in truth).max() == 1  # type: ignore[union-attr]
    for _, mask, (x, y) in truth:
        assert mask.shape == size_wh[::-1]
        assert mask[int(y), int(x)]


def test_masks_lie_where_the_colours_are() -> None:
    camera = SyntheticCamera(size_wh=(320, 240))
    pixels = camera.draw(17).astype(int)
    by_name = {t.name: t.mask for t in camera.truth(17)}
    assert set(by_name) == {"red disc", "yellow square", "blue triangle", "white bar"}
    red = pixels[by_name["red disc"]]
    blue = pixels[by_name["blue triangle"]]
    assert (red[:, 0] > red[:, 2] + 80).all()
    assert (blue[:, 2] > blue[:, 0] + 80).all()


@pytest.mark.parametrize("seed", range(3))
def test_every_shape_can_be_seen_in_every_frame(seed: int) -> None:
    camera = SyntheticCamera(size_wh=SMALL, seed=seed)
    assert all(len(camera.truth(i)) == 4 for i in range(0, 240, 5))


def test_it_gives_100_frames_unless_told() -> None:
    assert SyntheticCamera(size_wh=SMALL).length == 100
    assert SyntheticCamera(size_wh=SMALL, live=True).length is None
    assert SyntheticCamera(size_wh=SMALL, live=True, frames=5).length == 5


def test_options_of_the_spec_arrive() -> None:
    camera = open_camera(parse_source("synthetic:?size=48x32&fps=12.5&frames=2&live=yes&seed=3"))
    assert (camera.size_wh, camera.fps, camera.length, camera.live) == ((48, 32), 12.5, 2, True)


def test_a_live_one_gives_the_newest_due_frame() -> None:
    clock = ManualClock()
    camera = SyntheticCamera(size_wh=SMALL, live=True, fps=10, frames=50, clock=clock)
    ids = []
    for seconds in (0, 0.1, 0.35, 100):
        clock.advance(seconds)
        frame = camera.read(0)
        assert frame is not None
        ids.append(frame.frame_id)
        assert camera.read(0) is None if frame.frame_id < 49 else True
    assert ids == [0, 1, 4, 49]
    assert camera.losses == {"late": 46}
    with pytest.raises(EndOfStream):
        camera.read(0)
