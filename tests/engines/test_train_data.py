"""Photos, split, layouts, copy-paste and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgesam_engines.train.augment import Tile, crop_tile, recolour, resize
from edgesam_engines.train.canvas import KINDS, compose, layout
from edgesam_engines.train.config import Photo
from edgesam_engines.train.paste import Cutout, drop_covered, lay, paste_things
from edgesam_engines.train.samples import Batches, choose_objects, coverage
from edgesam_engines.train.sources import Entry, Labelled, PhotoCache, decode, held_out
from tests.engines.train_doubles import tiny_recipe, tiny_split

pytestmark = pytest.mark.torch
STILL = Photo(flip=0.0, colour=0.0, grey=0.0, blur=0.0)


def labelled() -> Labelled:
    image = np.full((40, 60, 3), 100, np.uint8)
    ids = np.zeros((40, 60), np.uint16)
    ids[10:30, 15:35] = 7
    image[ids == 7] = (255, 0, 0)
    ids[0:5, 50:60] = 300
    return Labelled(image, ids)


def test_the_objects_of_a_photo_have_area_box_and_whether_they_are_cut() -> None:
    first, second = labelled().objects
    assert (first.id, first.area, first.box, first.cut) == (7, 400, (15, 10, 35, 30), False)
    assert (second.id, second.area, second.cut) == (300, 50, True)


def test_the_split_depends_on_the_name_alone_and_hits_the_share() -> None:
    entries = [Entry("s", Path(f"x/{i:04}.webp"), None) for i in range(4000)]
    apart = [held_out(e, 0.1, 0) for e in entries]
    assert 300 < sum(apart) < 500
    moved = Entry("s", Path("elsewhere/0007.webp"), None)
    assert held_out(moved, 0.1, 0) == apart[7]
    assert [held_out(e, 0.1, 1) for e in entries] != apart


def test_training_and_validation_share_no_photo(tmp_path: Path) -> None:
    split = tiny_split(tmp_path, tiny_recipe(tmp_path))
    train, kept = split.train["shapes"], split.validation["shapes"]
    assert train
    assert kept
    assert not {e.photo for e in train} & {e.photo for e in kept}
    assert len(train) + len(kept) == 6


def test_the_cache_holds_no_more_than_it_may(tmp_path: Path) -> None:
    split = tiny_split(tmp_path, tiny_recipe(tmp_path))
    cache = PhotoCache(0)
    first, second = split.train["shapes"][:2]
    one = cache.get(first)
    assert cache.get(first) is one
    cache.get(second)
    assert cache.get(first) is not one


def test_an_unreadable_photo_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.webp"
    bad.write_bytes(b"no photo")
    with pytest.raises(OSError, match=r"bad\.webp"):
        decode(Entry("s", bad, None))


def test_scaling_keeps_ids_unmixed() -> None:
    for scale in (0.3, 0.77, 2.4):
        tile = resize(labelled().image, labelled().ids, scale)
        assert set(np.unique(tile.ids)) <= {0, 7, 300}
        assert tile.image.shape[:2] == tile.ids.shape


def test_image_and_ids_stay_aligned_through_crop_and_flip() -> None:
    rng = np.random.default_rng(0)
    rules = Photo(flip=0.5, colour=0.0, grey=0.0, blur=0.0)
    for _ in range(20):
        tile = crop_tile(labelled(), 32, 32, 1.0, rules, rng)
        red = tile.image[..., 0] == 255
        assert np.array_equal(red, tile.ids == 7)


def test_colour_changes_stay_in_range_and_grey_is_grey() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    rules = Photo(colour=1.0, grey=1.0, blur=0.0, tint=(1.0, 1.0))
    grey = recolour(image, rules, rng).astype(int)
    assert np.ptp(grey, axis=2).max() <= 1
    assert np.array_equal(recolour(image, STILL, rng), image)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layout_covers_the_canvas_once(tmp_path: Path, kind: str) -> None:
    rules = tiny_recipe(tmp_path).canvas
    rng = np.random.default_rng(3)
    for _ in range(20):
        count = np.zeros((256, 256), int)
        for x0, y0, x1, y1 in layout(kind, 256, rules, rng):
            count[y0:y1, x0:x1] += 1
        assert (count == 1).all()


def test_the_pieces_of_a_mosaic_keep_their_own_ids(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    rng = np.random.default_rng(0)
    canvas = compose("mosaic3", 192, labelled, recipe.canvas, recipe.photo, rng)
    pieces = {}
    for value in np.unique(canvas.ids)[1:]:
        ys, xs = np.nonzero(canvas.ids == value)
        pieces[int(value)] = (np.ptp(xs), np.ptp(ys))
    assert len(pieces) >= 9
    assert all(w < 96 and h < 96 for w, h in pieces.values())


def test_a_thing_laid_over_another_takes_its_pixels_and_id() -> None:
    canvas = Tile(np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), np.int32))
    thing = Cutout(np.full((8, 8, 3), 200, np.uint8), np.ones((8, 8), np.float32))
    lay(canvas, thing, -4, 15, 9)
    assert (canvas.ids == 9).sum() == 4 * 5
    assert (canvas.image[canvas.ids == 9] == 200).all()
    assert (canvas.image[canvas.ids == 1] == 0).all()
    lay(canvas, thing, 30, 30, 10)
    assert not (canvas.ids == 10).any()


def test_objects_covered_too_far_lose_their_id() -> None:
    ids = np.zeros((10, 10), np.int32)
    ids[0, :3], ids[1, :8] = 1, 2
    canvas = Tile(np.zeros((10, 10, 3), np.uint8), ids)
    drop_covered(canvas, np.array([82, 10, 10]), 0.35)
    assert set(np.unique(ids)) == {0, 2}


def test_pasting_adds_objects(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    canvas = Tile(np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.int32))
    paste_things(canvas, 6, labelled, recipe.paste, recipe.photo, np.random.default_rng(0))
    assert len(np.unique(canvas.ids)) > 2


def test_objects_of_a_fitting_size_are_chosen_and_repeated_where_few() -> None:
    rng = np.random.default_rng(0)
    ids = labelled().ids.astype(np.int32)
    assert choose_objects(ids, 4, 60, 0.9, rng) == [7] * 4
    assert set(choose_objects(ids, 5, 40, 0.9, rng)) == {7, 300}
    assert choose_objects(ids, 5, 500, 0.9, rng) == []
    assert choose_objects(ids, 5, 60, 0.1, rng) == []


def test_coverage_is_the_covered_part_of_each_cell() -> None:
    ids = np.zeros((8, 8), np.int32)
    ids[:3, :4] = 5
    (cells,) = coverage(ids, [5])
    assert cells.shape == (4, 4)
    assert cells[0, 0] == 255
    assert cells[1, 0] in (127, 128)
    assert cells[2, 0] == 0


def test_a_batch_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    split = tiny_split(tmp_path, recipe)
    first, again = Batches(recipe, split, 2), Batches(recipe, split, 2)
    again[0]
    a, b, other = first[5], again[5], first[6]
    assert a.images.equal(b.images)
    assert a.targets.equal(b.targets)
    assert not a.images.equal(other.images)
    assert a.images.shape == (2, 64, 64, 3)
    assert a.targets.shape == (2, 4, 32, 32)
