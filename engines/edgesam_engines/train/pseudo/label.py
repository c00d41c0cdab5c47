"""A round of labelling: every photo of every source of the rules."""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesam_engines.errors import CheckpointError
from edgesam_engines.train.checkpoint import replace_file
from edgesam_engines.train.config import RecipeError
from edgesam_engines.train.pseudo.config import Rules, rules_hash
from edgesam_engines.train.pseudo.detector import Detector
from edgesam_engines.train.pseudo.keep import good_proposals
from edgesam_engines.train.pseudo.merge import merge
from edgesam_engines.train.pseudo.teacher import Proposal, Teacher
from edgesam_engines.train.pseudo.write import LabelFolder, Record, photo_key
from edgesam_engines.train.sources import (
    Entry,
    Image,
    decode,
    list_backdrops,
    list_source,
)

TEACHER = "teacher.safetensors"
_REFUSED = ("research", "non-commercial", "noncommercial", "forbidden")  # in a licence as stated
_SAY_EVERY = 25  # photos
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labeller:
    """Detector, teacher and rules."""

    detector: Detector
    teacher: Teacher
    rules: Rules

    @classmethod
    def load(cls, rules: Rules, weights: Path, data: Path) -> Labeller:
        """From files."""
        detector = Detector(data / "weights" / rules.detector, rules.detect)
        return cls(detector, Teacher.load(weights, rules.views), rules)

    @property
    def maker(self) -> Record:
        """What a label depends on beside its photo."""
        return {
            "teacher_sha256": self.teacher.sha256,
            "detector_sha256": self.detector.sha256,
            "rules_hash": rules_hash(self.rules),
        }

    def propose(self, image: Image, name: str) -> list[Proposal]:
        """A mask for every box, good or not; the photo's name seeds how boxes are moved."""
        return self.teacher.propose(image, self.detector(image), zlib.crc32(name.encode()))


def keep_teacher(weights: Path, out: Path) -> Path:
    """The copy of the teacher's weights beside the labels; made when a round begins.

    A training replaces its weights now and then; a round that is resumed stays with its own.
    """
    copy = out / TEACHER
    if copy.is_file():
        log.info("going on with %s", copy)
        return copy
    if not weights.is_file():
        raise CheckpointError(f"teacher: {weights} is no file; expected weights of a training")
    out.mkdir(parents=True, exist_ok=True)
    replace_file(copy, lambda p: _copy(weights, p))
    return copy


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def label_all(labeller: Labeller, data: Path, out: Path) -> list[Record]:
    """Label every source of the rules into OUT/SOURCE.

    Returns:
        What each source's `meta.json` says.
    """
    made = []
    for name, entries, inherited in _listed(labeller.rules, data):
        folder = LabelFolder(out / name, labeller.maker)
        label_source(labeller, entries, folder)
        meta = folder.finish(inherited)
        made.append({"source_name": name, **meta})
        log.info(
            "%s: %d objects in %d of %d photos, of %d boxes",
            *(name, meta["masks"], meta["photos_here"], meta["photos_asked"], meta["boxes_seen"]),
        )
    return made


def label_source(labeller: Labeller, entries: list[Entry], folder: LabelFolder) -> None:
    """Label the photos of a folder that are not done."""
    left = [e for e in entries if photo_key(e) not in folder.done]
    for i, entry in enumerate(left, 1):
        label_photo(labeller, entry, folder)
        if i % _SAY_EVERY == 0 or i == len(left):
            made = sum(len(r["objects"]) for r in folder.done.values())
            log.info("%s: %d of %d photos, %d objects", entry.source, i, len(left), made)


def label_photo(labeller: Labeller, entry: Entry, folder: LabelFolder) -> None:
    """Propose, choose, merge, write."""
    photo = decode(entry)
    proposals = labeller.propose(photo.image, f"{entry.source}/{photo_key(entry)}")
    good = good_proposals(photo.image, proposals, labeller.rules.keep)
    ids, kept = merge(photo.ids, good, labeller.rules.merge)
    folder.add(entry, ids, kept, len(proposals), int(photo.ids.max(initial=0)))


def _listed(rules: Rules, data: Path) -> Iterator[tuple[str, list[Entry], Record]]:
    for name in rules.sources.photos:
        yield name, list_backdrops(data / "photos", name), _terms_of_photos(data / "photos", name)
    for name in rules.sources.masks:
        entries = list_source(data / "masks", name, allow_doubtful=False)
        meta = json.loads((data / "masks" / name / "meta.json").read_text("utf-8"))
        yield name, entries, {k: v for k, v in meta.items() if k not in ("images", "masks")}


def _terms_of_photos(photos: Path, name: str) -> Record:
    """Origin and licence of a folder of photos.

    Raises:
        RecipeError: nothing is stated, or the terms forbid commercial use.
    """
    meta = json.loads((photos / "meta.json").read_text("utf-8"))
    rows = [row for key, row in meta.items() if key.startswith(f"{name}/")]
    licences = sorted({str(row["licence"]) for row in rows})
    text = "; ".join(licences)
    if not rows or any(word in text.lower() for word in _REFUSED):
        raise RecipeError(
            f"sources.photos: {name}: expected terms that allow commercial use, "
            f"{photos / 'meta.json'} says {text or 'nothing'!r}; leave it out"
        )
    origin = sorted({f"github {row['repo']} @ {row['commit']}" for row in rows})
    return {
        "source": "; ".join(origin),
        "license as stated": text,
        "commercial_use": "see licence",
    }
