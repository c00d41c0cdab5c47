"""Somebody's photos and masks, checked once and laid out to train on.

    OUT/data/train/KEY.jpg      photos to learn from, and to calibrate an INT8 bundle on
    OUT/data/held-out/KEY.jpg   photos that nothing is learnt from
    OUT/data/ids/KEY.png        their id maps
    OUT/data/index.json         what was found; written last

Photos are scaled down to LONGEST, far more than training looks at. Which part a photo goes to is
decided by a hash of its name alone, so more photos never move old ones from one part to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edgesam_engines.train.config import Data
from edgesam_engines.train.own.complaints import Complaints
from edgesam_engines.train.own.found import Found, MaskArray, Reader, paint
from edgesam_engines.train.own.index import (
    HELD_OUT,
    IDS,
    INDEX,
    SOURCE,
    TRAIN,
    Index,
    Prepared,
    Row,
    read_index,
)
from edgesam_engines.train.progress import Ticker
from edgesam_engines.train.sources import Entry, Image, StoredIds, held_out
from edgesam_rt.errors import ConfigError, ImageError
from edgesam_rt.imaging.files import read_image
from edgesam_rt.sinks.files import encode_picture, make_folder, stem, write_failed, write_whole

LONGEST = 1024  # px; the longer side of a photo as it is kept
_KEY_DIGITS = 6
_FORMAT = 1


def prepare(
    reader: Reader, out: Path, data: Data, *, unlabelled: bool, say: Callable[[str], None]
) -> Prepared:
    """Check and lay out all photos, or take what an earlier run made of the same files.

    Args:
        reader: finds photos and masks.
        out: the folder described above; made if missing.
        data: the share held out.
        unlabelled: also keep photos without masks, for a teacher to answer on.
        say: takes progress.

    Raises:
        ConfigError: too little is left to train on; says what was wrong.
        SinkError: the folder cannot be written.
    """
    inputs = _inputs(reader.files, data, unlabelled)
    index = read_index(out / INDEX)
    if index is None or index.inputs != inputs:
        for name in (TRAIN, HELD_OUT, IDS):
            make_folder(out / name, "train")
        rows = _Writer(out, data, unlabelled, reader.complaints).run(list(reader), say)
        index = Index(_FORMAT, inputs, _both_parts(rows, out), reader.complaints.lines())
        _check_enough(index, unlabelled)
        _write(out / INDEX, msgspec.json.format(msgspec.json.encode(index), indent=1))
    return Prepared(out, index)


class _Writer:
    """Reads, checks and writes photo by photo."""

    def __init__(self, out: Path, data: Data, unlabelled: bool, complaints: Complaints) -> None:
        self._out, self._data, self._unlabelled = out, data, unlabelled
        self._complaints = complaints
        self._seen: dict[bytes, str] = {}

    def run(self, found: list[Found], say: Callable[[str], None]) -> list[Row]:
        """Rows of all photos that can be used."""
        ticker = Ticker(say, "photo", len(found))
        rows = []
        for i, one in enumerate(found, 1):
            row = self._one(one)
            if row is not None:
                rows.append(row)
            ticker.at(i, "checked")
        return rows

    def _one(self, found: Found) -> Row | None:
        try:
            pixels = read_image(found.photo)
        except ImageError as error:
            self._complaints.add("photo cannot be read", str(error))
            return None
        if self._is_copy(found, pixels):
            return None
        ids, objects = self._objects(found, (pixels.shape[0], pixels.shape[1]))
        if not objects and not self._unlabelled:
            if found.masks is None:
                self._complaints.add("photo without a mask", found.name)
            return None
        key = key_of(found.name)
        kept = held_out(Entry(SOURCE, Path(key), None), self._data.holdout, self._data.split_seed)
        row = Row(found.name, key, HELD_OUT if kept else TRAIN, objects)
        shrunk = _shrunk(pixels)
        _write(self._out / row.part / f"{key}.jpg", encode_picture(shrunk, ".jpg"))
        if objects:
            _write(self._out / IDS / f"{key}.png", cv2.imencode(".png", ids)[1].tobytes())
        return row

    def _is_copy(self, found: Found, pixels: Image) -> bool:
        """Whether the same picture was there before; it might land in the other part."""
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        first = self._seen.setdefault(digest, found.name)
        if first != found.name:
            self._complaints.add("photo is a copy of another one", f"{found.name} = {first}")
        return first != found.name

    def _objects(self, found: Found, hw: tuple[int, int]) -> tuple[StoredIds, int]:
        """The id map at the size the photo is kept in, and the number of objects in it."""
        small_hw = _kept_hw(hw)
        given = found.masks(hw, self._complaints) if found.masks else iter(())
        masks = [_shrunk_mask(mask, small_hw) for mask in given]
        ids, hidden = paint(masks, small_hw)
        for _ in range(hidden):
            self._complaints.add("mask is hidden behind smaller ones, or tiny", found.name)
        return ids, len(masks) - hidden


def key_of(name: str) -> str:
    """A photo's name as the stem of a file: readable, and different for different names."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()[:_KEY_DIGITS]
    return f"{stem(str(Path(name).with_suffix('')))}-{digest}"


def _kept_hw(hw: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, LONGEST / max(hw))
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def _shrunk(pixels: Image) -> Image:
    h, w = _kept_hw((pixels.shape[0], pixels.shape[1]))
    if (h, w) == pixels.shape[:2]:
        return pixels
    return cv2.resize(pixels, (w, h), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _shrunk_mask(mask: MaskArray, hw: tuple[int, int]) -> MaskArray:
    if mask.shape == hw:
        return mask
    small = cv2.resize(mask.astype(np.uint8), hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return small.astype(np.bool_)


def _both_parts(rows: list[Row], out: Path) -> list[Row]:
    """With few photos a part may have none to use: then the one with the least hash goes there."""
    labelled = any(r.objects for r in rows)
    for part, other in ((HELD_OUT, TRAIN), (TRAIN, HELD_OUT)):
        pool = [r for r in rows if r.objects or not labelled]
        if len(pool) > 1 and not any(r.part == part for r in pool):
            first = min(pool, key=lambda r: r.key[-_KEY_DIGITS:])
            (out / other / f"{first.key}.jpg").replace(out / part / f"{first.key}.jpg")
            moved = msgspec.structs.replace(first, part=part)
            rows = [moved if r is first else r for r in rows]
    return rows


def _check_enough(index: Index, unlabelled: bool) -> None:
    rows = [r for r in index.rows if unlabelled or r.objects]
    if {r.part for r in rows} == {TRAIN, HELD_OUT}:
        return
    found = "".join(f"\n  {line}" for line in index.complaints)
    kind = "photos" if unlabelled else "photos with masks"
    raise ConfigError(
        f"train: expected at least 2 {kind}, one to learn from and one to judge on; found "
        f"{len(rows)}.{found}\nThe forms of data that are understood: docs/training.md."
    )


def _inputs(files: list[Path], data: Data, unlabelled: bool) -> str:
    """A hash of everything the result depends on; of files their names, sizes and times."""
    rules = f"{_FORMAT} {LONGEST} {data.holdout} {data.split_seed} {unlabelled}"
    digest = hashlib.blake2b(rules.encode(), digest_size=16)
    for path in files:
        about = path.stat()
        digest.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        intact = "What is done so far stays; the same command goes on."
        raise write_failed("train", path, error, intact) from error
