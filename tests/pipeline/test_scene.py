"""A still scene is told from one in which something moves, through the camera's noise."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.pipeline.scene import Scene, SceneRules
from edgesam_rt.types import U8

SIZES = [(320, 240), (640, 360), (96, 64)]
GRAIN = np.random.default_rng(0).normal(0, 1, (840, 1000, 3)).astype(np.float32)


def noisy(pixels: U8, level: float, seed: int) -> U8:
    """The picture with a part of the grain that depends on the seed."""
    y, x = np.random.default_rng(seed).integers(0, 360, 2)
    h, w = pixels.shape[:2]
    return (pixels + level * GRAIN[y : y + h, x : x + w]).clip(0, 255).astype(np.uint8)


def watching(pixels: U8, level: float) -> Scene:
    """A scene that was looked at for ten frames, the last of which is the reference."""
    scene = Scene()
    for seed in range(10):
        scene.stands_still(noisy(pixels, level, seed))
        scene.remember()
    return scene


@pytest.mark.parametrize("size_wh", SIZES)
@pytest.mark.parametrize("level", [0.0, 3.0, 8.0])
def test_noise_alone_is_no_change(size_wh: tuple[int, int], level: float) -> None:
    pixels = SyntheticCamera(size_wh=size_wh).draw(0)
    scene = watching(pixels, level)
    same = [scene.stands_still(noisy(pixels, level, 100 + i)) for i in range(20)]
    assert sum(same) >= 19


@pytest.mark.parametrize("size_wh", SIZES[:2])
@pytest.mark.parametrize("level", [0.0, 3.0, 8.0])
def test_a_small_object_that_comes_in_is_noticed_at_once(
    size_wh: tuple[int, int], level: float
) -> None:
    """A fortieth of the picture's width on each side, 60 levels brighter, anywhere."""
    pixels = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    side = size_wh[0] // 40
    rng = np.random.default_rng(1)
    for _ in range(10):
        scene = watching(pixels, level)
        x, y = rng.integers(0, size_wh[0] - side), rng.integers(0, size_wh[1] - side)
        changed = pixels.copy()
        changed[y : y + side, x : x + side] += 60
        assert not scene.stands_still(noisy(changed, level, 99))


def test_something_that_creeps_is_noticed_before_it_has_gone_far() -> None:
    camera = SyntheticCamera(size_wh=(640, 480))
    scene = watching(camera.draw(0), 2.0)
    ids = [i for i in range(1, 6) if not scene.stands_still(noisy(camera.draw(i), 2.0, i))]
    assert ids == [1, 2, 3, 4, 5]


def test_a_scene_that_moves_all_the_time_is_never_taken_for_noise() -> None:
    """A panning camera changes every block; the usual change must not become the threshold."""
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(0, 255, (12, 200, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    scene = Scene()
    for i in range(60):
        frame = np.ascontiguousarray(wide[:, 20 * i : 20 * i + 640])
        assert not scene.stands_still(frame)
        scene.remember()
    assert scene.threshold <= SceneRules().most


def test_another_size_and_a_forgotten_reference_are_another_scene() -> None:
    small, large = (SyntheticCamera(size_wh=wh).draw(0) for wh in ((320, 240), (640, 360)))
    scene = watching(small, 0.0)
    assert scene.stands_still(small)
    assert not scene.stands_still(large)
    assert not scene.stands_still(small), "the one before had another size"
    scene.forget()
    assert not scene.stands_still(small)
