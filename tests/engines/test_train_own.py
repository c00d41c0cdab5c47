"""A user's own photos and masks: which forms are understood, what is said of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from edgesam_engines.train.config import Data, Source
from edgesam_engines.train.own.coco import CocoFile
from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.own.folder import MaskFolder
from edgesam_engines.train.own.found import Reader, paint
from edgesam_engines.train.own.index import HELD_OUT, SOURCE, TRAIN, Prepared
from edgesam_engines.train.own.prepare import key_of, prepare
from edgesam_engines.train.sources import decode
from edgesam_rt.errors import ConfigError, SinkError

pytestmark = pytest.mark.torch
DATA = Data(sources={SOURCE: Source(weight=1.0)}, backdrops={}, holdout=0.3)
HW = (40, 60)


def photo(path: Path, value: int = 0, hw: tuple[int, int] = HW) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    cv2.imwrite(str(path), rng.integers(0, 255, (*hw, 3), np.uint8))


def mask(path: Path, *boxes: tuple[int, int, int, int, int], hw: tuple[int, int] = HW) -> None:
    """Boxes of x0, y0, x1, y1, value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.zeros(hw, np.uint8)
    for x0, y0, x1, y1, value in boxes:
        ids[y0:y1, x0:x1] = value
    cv2.imwrite(str(path), ids)


def areas(reader: Reader, hw: tuple[int, int] = HW) -> dict[str, list[int]]:
    return {
        f.name: [int(m.sum()) for m in f.masks(hw, reader.complaints)] if f.masks else []
        for f in reader
    }


def run(reader: Reader, out: Path, *, unlabelled: bool = False) -> Prepared:
    return prepare(reader, out, DATA, unlabelled=unlabelled, say=lambda line: None)


def test_id_maps_lie_beside_their_photos(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    mask(tmp_path / "a.png", (0, 0, 10, 10, 1), (20, 0, 30, 20, 7))
    photo(tmp_path / "sub/b.png")
    mask(tmp_path / "sub/b.mask.png", (0, 0, 10, 10, 255))
    photo(tmp_path / "c.webp")
    assert areas(MaskFolder(tmp_path)) == {"a.jpg": [100, 200], "c.webp": [], "sub/b.png": [100]}


@pytest.mark.parametrize("bright", [1, 255])
def test_a_folder_of_the_photos_name_holds_a_mask_an_object(tmp_path: Path, bright: int) -> None:
    photo(tmp_path / "a.png")
    mask(tmp_path / "a/left.png", (0, 0, 10, 10, bright))
    mask(tmp_path / "a/right.png", (5, 0, 25, 10, bright))  # they may overlap
    assert areas(MaskFolder(tmp_path)) == {"a.png": [100, 200]}


def test_photos_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    photo(tmp_path / "images/x/a.png")
    mask(tmp_path / "masks/x/a.png", (0, 0, 10, 10, 1))
    mask(tmp_path / "masks/gone.png", (0, 0, 10, 10, 1))
    reader = MaskFolder(tmp_path / "masks", tmp_path / "images")
    assert areas(reader) == {"x/a.png": [100]}
    assert reader.complaints.lines() == ["1 x mask without a photo (gone.png)"]


def test_the_colours_of_a_palette_are_ids(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    colours = np.zeros((*HW, 3), np.uint8)
    colours[:10, :10] = (0, 0, 128)
    colours[20:30, :20] = (0, 128, 0)
    cv2.imwrite(str(tmp_path / "a.png"), colours)
    assert sorted(areas(MaskFolder(tmp_path))["a.jpg"]) == [100, 200]


def test_bad_masks_are_counted_and_named_once(tmp_path: Path) -> None:
    photo(tmp_path / "size.jpg")
    mask(tmp_path / "size.png", (0, 0, 9, 9, 1), hw=(30, 30))
    photo(tmp_path / "turned.jpg")
    mask(tmp_path / "turned.png", (0, 0, 9, 9, 1), hw=HW[::-1])
    photo(tmp_path / "empty.jpg")
    mask(tmp_path / "empty.png")
    photo(tmp_path / "parts.jpg")
    mask(tmp_path / "parts/nothing.png")
    mask(tmp_path / "parts/tiny.png", (0, 0, 2, 2, 255))
    (tmp_path / "parts/torn.png").write_bytes(b"\x89PNG")
    photo(tmp_path / "lossy.jpg", hw=(80, 80))
    noise = np.random.default_rng(0).integers(0, 2**16, (80, 80), np.uint16)
    cv2.imwrite(str(tmp_path / "lossy.png"), noise)
    reader = MaskFolder(tmp_path)
    for found in reader:
        assert found.masks is not None
        hw = (80, 80) if found.name == "lossy.jpg" else HW
        assert list(found.masks(hw, reader.complaints)) == []
    told = "\n".join(reader.complaints.lines())
    for words in (
        "mask has another size than its photo (size.png: 30x30, the photo 60x40)",
        "mask is turned by 90 degrees",
        "id map is empty (empty.png)",
        "mask is empty (parts/nothing.png)",
        "mask smaller than 16 pixels (parts/tiny.png)",
        "mask file is no picture, or damaged (parts/torn.png)",
        "id map has thousands of values",
    ):
        assert f"1 x {words}" in told


def test_examples_are_few_and_counts_whole() -> None:
    complaints = Complaints()
    for i in range(9):
        complaints.add("photo without a mask", f"{i}.jpg")
    assert complaints.lines() == ["9 x photo without a mask (0.jpg, 1.jpg, 2.jpg, …)"]


@pytest.mark.parametrize("given", ["none", "empty"])
def test_a_folder_without_photos_is_refused(tmp_path: Path, given: str) -> None:
    folder = tmp_path / given
    if given == "empty":
        folder.mkdir()
    with pytest.raises(ConfigError, match="no such folder" if given == "none" else "no photos"):
        MaskFolder(folder)


def test_smaller_masks_lie_on_top_and_hidden_ones_are_counted() -> None:
    large, small, behind = (np.zeros(HW, bool) for _ in range(3))
    large[:20, :20], small[5:10, 5:10], behind[5:9, 5:9] = True, True, True
    ids, hidden = paint([small, large], HW)
    assert (int((ids == 1).sum()), int((ids == 2).sum()), hidden) == (375, 25, 0)
    _, hidden = paint([behind, small, large], HW)
    assert hidden == 1  # of the middle one nine pixels are left


# COCO ------------------------------------------------------------------------------------------

SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]
RUNS = {"size": list(HW), "counts": [0, 400, 40 * 60 - 400]}  # the first ten columns


def coco(folder: Path, notes: list[dict[str, Any]], images: tuple[str, ...] = ("a.jpg",)) -> Path:
    for i, name in enumerate(images):
        photo(folder / name, i)
    rows = [
        {"id": i, "file_name": n, "height": HW[0], "width": HW[1]} for i, n in enumerate(images)
    ]
    notes = [{"id": i, "image_id": 0, "category_id": 3, **n} for i, n in enumerate(notes)]
    path = folder / "instances.json"
    names = [{"id": 3, "name": "cat"}]
    path.write_text(json.dumps({"images": rows, "annotations": notes, "categories": names}))
    return path


def test_polygons_and_both_kinds_of_run_lengths_are_read(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    from pycocotools import mask as tools

    pressed = tools.frPyObjects(RUNS, *HW)["counts"].decode("ascii")
    path = coco(
        tmp_path,
        [
            {"segmentation": [SQUARE]},
            {"segmentation": RUNS},
            {"segmentation": {"size": list(HW), "counts": pressed}},
            {"segmentation": RUNS, "iscrowd": 1},
        ],
    )
    reader = CocoFile(path)
    polygon, runs, compressed = areas(reader)["a.jpg"]
    assert (runs, compressed) == (400, 400)
    assert 100 <= polygon <= 121  # COCO's own rule at the edges
    assert reader.complaints.lines() == ["1 x crowd region (not one object), left out"]


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "has no segmentation"),
        ([], "has no segmentation"),
        ([[1, 2, 3, 4]], "has no polygon of 3 corners"),
        ([["a", "b"] * 3], "is no list of numbers"),
        ([[1.0, 2.0, float("nan"), 4.0, 5.0, 6.0]], "is no list of x, y"),
        ([[1, 1, 2, 1, 2, 2]], "covers less than 16 pixels"),
        ({"size": [9, 9], "counts": [81]}, "for another size"),
        ({"size": list(HW), "counts": [5, 5]}, "do not fit"),
        ({"size": list(HW), "counts": "\x01"}, "do not fit"),
        ("text", "neither polygons nor run lengths"),
    ],
)
def test_a_bad_annotation_is_left_out_by_category_and_reason(
    tmp_path: Path, segmentation: object, words: str
) -> None:
    pytest.importorskip("pycocotools")
    path = coco(tmp_path, [{"segmentation": segmentation}, {"segmentation": [SQUARE]}])
    reader = CocoFile(path)
    assert len(areas(reader)["a.jpg"]) == 1
    (line,) = reader.complaints.lines()
    assert line.startswith("1 x annotation of 'cat' ")
    assert words in line
    assert line.endswith("(a.jpg, id 0)")


def test_missing_pictures_and_other_sizes_are_told(tmp_path: Path) -> None:
    path = coco(tmp_path, [{"segmentation": RUNS}], ("a.jpg", "b.jpg"))
    (tmp_path / "b.jpg").unlink()
    photo(tmp_path / "a.jpg", hw=(20, 20))
    reader = CocoFile(path)
    assert areas(reader, (20, 20)) == {"a.jpg": []}
    told = " ".join(reader.complaints.lines())
    assert "picture is missing (b.jpg)" in told
    assert "another size than the JSON says (a.jpg: 20x20, stated 60x40)" in told


def test_pictures_are_found_below_the_images_folder(tmp_path: Path) -> None:
    path = coco(tmp_path / "json", [{"segmentation": RUNS}])
    photo(tmp_path / "photos/train/a.jpg")
    (tmp_path / "json/a.jpg").unlink()
    with pytest.raises(ConfigError, match="--images"):
        CocoFile(path)
    assert areas(CocoFile(path, tmp_path / "photos")) == {"a.jpg": [400]}


@pytest.mark.parametrize("text", ["{", "[]", '{"images": 3, "annotations": []}', "\xff"])
def test_a_file_in_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"x\.json: (not a JSON file|expected COCO)"):
        CocoFile(path)


# Laying out ------------------------------------------------------------------------------------


def folder_of(root: Path, count: int) -> Path:
    for i in range(count):
        photo(root / f"{i:02}.jpg", i)
        mask(root / f"{i:02}.png", (0, 0, 20, 20, 1), (30, 10, 50, 30, 2))
    return root


def test_the_parts_share_no_photo_and_follow_from_names_alone(tmp_path: Path) -> None:
    made = run(MaskFolder(folder_of(tmp_path / "in", 20)), tmp_path / "out")
    parts = {r.name: r.part for r in made.index.rows}
    assert {TRAIN, HELD_OUT} == set(parts.values())
    train, kept = made.split.train[SOURCE], made.split.validation[SOURCE]
    assert len(train) + len(kept) == 20
    assert not {e.photo.name for e in train} & {e.photo.name for e in kept}
    assert [o.area for o in decode(train[0]).objects] == [400, 400]
    (tmp_path / "in/03.jpg").unlink()
    (tmp_path / "in/03.png").unlink()
    again = run(MaskFolder(folder_of(tmp_path / "in", 30)), tmp_path / "elsewhere")
    assert {n: p for n, p in ((r.name, r.part) for r in again.index.rows) if n in parts} == parts


def test_a_copy_of_a_photo_stays_out_so_that_it_cannot_be_in_both_parts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", 4)
    photo(folder / "copy.jpg", 2)
    mask(folder / "copy.png", (0, 0, 20, 20, 1))
    made = run(MaskFolder(folder), tmp_path / "out")
    assert len(made.index.rows) == 4
    assert made.index.complaints == ["1 x photo is a copy of another one (copy.jpg = 02.jpg)"]


def test_two_photos_are_enough_for_both_parts_and_one_is_not(tmp_path: Path) -> None:
    made = run(MaskFolder(folder_of(tmp_path / "in", 2)), tmp_path / "out")
    assert sorted(r.part for r in made.index.rows) == [HELD_OUT, TRAIN]
    assert all(e.photo.is_file() for p in made.split.train.values() for e in p)
    folder = folder_of(tmp_path / "one", 1)
    photo(folder / "bare.jpg", 5)
    with pytest.raises(ConfigError, match=r"(?s)at least 2.*found 1.*without a mask \(bare"):
        run(MaskFolder(folder), tmp_path / "out1")


def test_photos_without_masks_are_kept_for_a_teacher_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", 3)
    photo(folder / "bare.jpg", 9)
    with_teacher = run(MaskFolder(folder), tmp_path / "a", unlabelled=True)
    assert [e.ids for p in with_teacher.unlabelled.values() for e in p] == [None]
    without = run(MaskFolder(folder), tmp_path / "b")
    assert not any(without.unlabelled.values())
    assert without.summary()[-1] == "left out or doubtful: 1 x photo without a mask (bare.jpg)"


def test_what_was_laid_out_is_taken_again_until_a_file_changes(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "in", 3), tmp_path / "out"
    made = run(MaskFolder(folder), out)
    entry = made.split.train[SOURCE][0]
    old = entry.photo.stat().st_mtime_ns
    assert run(MaskFolder(folder), out).index == made.index
    assert entry.photo.stat().st_mtime_ns == old
    photo(folder / "new.jpg", 50)
    mask(folder / "new.png", (0, 0, 20, 20, 1))
    assert len(run(MaskFolder(folder), out).index.rows) == 4


def test_large_photos_are_kept_smaller_with_their_masks(tmp_path: Path) -> None:
    for i in range(2):
        photo(tmp_path / f"in/{i}.jpg", i, (600, 2048))
        mask(tmp_path / f"in/{i}.png", (0, 0, 400, 200, 3), hw=(600, 2048))
    made = run(MaskFolder(tmp_path / "in"), tmp_path / "out")
    found = decode(made.split.train[SOURCE][0])
    assert found.image.shape == (300, 1024, 3)
    assert [o.box for o in found.objects] == [(0, 0, 200, 100)]


def test_names_that_look_alike_get_different_files() -> None:
    assert key_of("a/b.jpg") != key_of("a_b.jpg")
    assert key_of("a/b.jpg").startswith("a_b-")


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    reader = MaskFolder(folder_of(tmp_path / "in", 2))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match=r"No space left.*the same command goes on.*Free some"):
        run(reader, tmp_path / "out")
