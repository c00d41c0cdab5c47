"""`/api/v1/objects` and `/api/v1/mode`: what is asked for."""

from __future__ import annotations

import re

from edgesam_rt.errors import UnknownObject
from edgesam_rt.records import BOX_TOP_LEFT, Prompt, Result
from edgesam_rt.server.schemas import (
    Box,
    ModeAnswer,
    ModeRequest,
    ObjectAnswer,
    ObjectRequest,
    ObjectsAnswer,
)
from edgesam_rt.server.site import Site
from edgesam_rt.service.prompts import PromptObject, to_prompt

_ID = re.compile(r"[1-9]\d{0,8}", re.ASCII)


def list_objects(site: Site) -> ObjectsAnswer:
    """All objects that are asked for."""
    newest = site.hub.newest()
    return ObjectsAnswer(
        site.control.mode,
        None if newest is None else newest.frame.frame_id,
        tuple(_answer(key, prompt, newest) for key, prompt in site.control.objects.items()),
    )


def get_object(site: Site, text: str) -> ObjectAnswer:
    """One of them."""
    object_id, objects = _id(text), site.control.objects
    if object_id not in objects:
        raise UnknownObject(f"no object has the id {object_id}.")
    return _answer(object_id, objects[object_id], site.hub.newest())


def add_object(site: Site, asked: ObjectRequest) -> ObjectAnswer:
    """Ask for one more."""
    prompt = to_prompt(PromptObject(asked.points, asked.box), "body")
    return _answer(site.control.add(prompt), prompt, None)


def change_object(site: Site, text: str, asked: ObjectRequest) -> ObjectAnswer:
    """Ask something else about one of them."""
    object_id, prompt = _id(text), to_prompt(PromptObject(asked.points, asked.box), "body")
    site.control.change(object_id, prompt)
    return _answer(object_id, prompt, None)


def remove_object(site: Site, text: str) -> None:
    """Ask for one no longer."""
    site.control.remove(_id(text))


def get_mode(site: Site) -> ModeAnswer:
    """The present mode."""
    return ModeAnswer(site.control.mode, site.control.strategy)


def set_mode(site: Site, asked: ModeRequest) -> ModeAnswer:
    """Change it."""
    site.control.set_mode(asked.mode, asked.strategy)
    return get_mode(site)


def _id(text: str) -> int:
    if not _ID.fullmatch(text):
        raise UnknownObject(f"an object's id is a number from 1, got {text[:40]!r}.")
    return int(text)


def _answer(object_id: int, prompt: Prompt, newest: Result | None) -> ObjectAnswer:
    points, box = _given(prompt)
    ids = () if newest is None or _is_everything(newest) else newest.object_ids
    if newest is None or object_id not in ids:
        return ObjectAnswer(object_id, points, box, None, None, None, None)
    i, masks = ids.index(object_id), newest.masks
    area = int(masks.areas[i])
    x0, y0, x1, y1 = (float(v) for v in masks.boxes_xyxy[i])
    state = newest.tracks[i].state if newest.tracks else ("tracked" if area else "lost")
    seen = (x0, y0, x1, y1) if area else None
    return ObjectAnswer(
        object_id, points, box, state, seen, round(float(masks.predicted_iou[i]), 4), area
    )


def _is_everything(result: Result) -> bool:
    return not (result.prompts or result.tracks)


def _given(prompt: Prompt) -> tuple[tuple[tuple[float, ...], ...], Box | None]:
    """Points and box of a prompt, as they stand in a request."""
    rows = list(zip(prompt.point_coords.tolist(), prompt.point_labels.tolist(), strict=True))
    points = tuple((x, y, float(label)) for (x, y), label in rows if label < BOX_TOP_LEFT)
    corners = [xy for xy, label in sorted(rows, key=lambda row: row[1]) if label >= BOX_TOP_LEFT]
    if not corners:
        return points, None
    (x0, y0), (x1, y1) = corners
    return points, (x0, y0, x1, y1)
