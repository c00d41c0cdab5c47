"""Asking a teacher about many photos, once: what is in the cache is not asked again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from edgesam_engines.train.config import Recipe
from edgesam_engines.train.distil.cache import AnswerCache
from edgesam_engines.train.distil.objects import answers_about
from edgesam_engines.train.distil.samples import BY_POINT
from edgesam_engines.train.distil.teacher import Named, Teacher
from edgesam_engines.train.own.found import paint
from edgesam_engines.train.progress import Say, Ticker
from edgesam_engines.train.sources import Entry, decode
from edgesam_rt.sinks.files import write_whole

ANSWERS, TAUGHT = "answers", "taught"  # folders of the cache, and of id maps to judge by


@dataclass(frozen=True)
class Asked:
    """A teacher's answers below a folder: to learn from, and id maps of photos held out."""

    cache: AnswerCache
    learnt: list[Entry]
    judged: list[Entry]


def ask_about(
    named: Named, recipe: Recipe, learnt: list[Entry], judged: list[Entry], out: Path, say: Say
) -> Asked:
    """Answers about all photos that the cache has room for.

    Args:
        named: the teacher; loaded only if something is left to ask.
        recipe: the questions.
        learnt: photos to learn from.
        judged: photos held out, asked first; they get id maps of the teacher's masks.
        out: folder of the training.
        say: takes progress.

    Raises:
        CheckpointError: the teacher's file cannot be used, or the cache is another teacher's.
    """
    assert recipe.distil is not None
    cache = AnswerCache(out / ANSWERS, maker_of(named, recipe), recipe.distil.cache_mib)
    photos = [*judged, *learnt]
    todo = [e for e in photos if not cache.has(e)]
    if todo:
        say(f"asking {named.family} about {len(todo)} photos; each once, what is done is kept")
        _ask(Teacher.load(named), recipe, todo, cache, say)
    there = [e for e in photos if cache.has(e) and cache.objects(e)]
    if len(there) < len(photos):
        say(
            f"left out: {len(photos) - len(there)} of {len(photos)} photos, in which the teacher "
            "is sure of nothing, or for which distil.cache_mib leaves no room"
        )
    maps = [_painted(e, cache, out / TAUGHT) for e in there if e in set(judged)]
    return Asked(cache, [e for e in there if e in set(learnt)], maps)


def maker_of(named: Named, recipe: Recipe) -> dict[str, Any]:
    """What the answers depend on."""
    rules: dict[str, Any] = msgspec.to_builtins(recipe.distil)
    learning = ("share", "encoder_steps", "embedding", "tokens", "cache_mib")
    questions = {k: v for k, v in rules.items() if k not in learning}
    questions["box_jitter"] = recipe.prompts.box_jitter
    return {"family": named.family, "sha256": named.sha256(), "seed": recipe.seed, **questions}


def _ask(teacher: Teacher, recipe: Recipe, todo: list[Entry], cache: AnswerCache, say: Say) -> None:
    ticker = Ticker(say, "photo", len(todo))
    for done, entry in enumerate(todo, 1):
        if not cache.has_room():
            return
        number = zlib.crc32(entry.photo.stem.encode())  # the same whatever other photos there are
        cache.put(entry, answers_about(teacher, decode(entry).image, recipe, number))
        ticker.at(done, "asked")


def _painted(entry: Entry, cache: AnswerCache, folder: Path) -> Entry:
    """The photo with an id map of the teacher's masks, at the photo's size."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{entry.photo.stem}.png"
    h, w = decode(Entry(entry.source, entry.photo, None)).ids.shape
    masks = cache.get(entry).masks[BY_POINT].numpy()
    big = [cv2.resize(m, (w, h), interpolation=cv2.INTER_LINEAR) > 127 for m in masks]
    ids = cv2.imencode(".png", paint(big, (h, w))[0].astype(np.uint16))[1].tobytes()
    write_whole(path, ids)
    return Entry(entry.source, entry.photo, path)
