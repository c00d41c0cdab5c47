"""A result as plain data, for JSON. `docs/results.md` describes every key."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import SupportsFloat

import numpy as np

from edgesam_rt.records import BOX_TOP_LEFT, FOREGROUND, Prompt, Result, TrackStatus

SCHEMA = 1

Row = dict[str, object]


def to_row(result: Result, *, with_rle: bool = True) -> Row:
    """Return what is known about a frame, without its pixels; json.dumps takes it as it is.

    Args:
        result: what to describe.
        with_rle: whether each object carries its mask.
    """
    h, w = result.frame.image_hw
    was_told = result.prompts or result.tracks  # what to look for; only everything mode is not
    left = {} if was_told else {"completeness": _number(result.masks.completeness, 4)}
    return {
        "schema": SCHEMA,
        "frame_id": result.frame.frame_id,
        "name": result.frame.name,
        "captured_at_ns": result.frame.captured_at_ns,
        "image_hw": [h, w],
        "objects": _objects(result, with_rle),
        **left,
        "timings": {key: _number(value, 3) for key, value in asdict(result.timings).items()},
        "age_ms": _number(result.timings.age_ms, 3),
        "ladder_step": result.ladder_step,
        "ladder_name": result.ladder_name,
        "ladder_reason": result.ladder_reason,
        "reuse": result.reuse,
        "embedding_age_ms": _number(result.embedding_age_ms, 3),
        "backend": result.backend,
        "bundle": result.bundle,
        "encoder_side": result.encoder_side,
        "dropped": dict(result.dropped),
    }


def _objects(result: Result, with_rle: bool) -> list[Row]:
    masks = result.masks
    prompts = _prompts(result)
    texts = masks.rle() if with_rle else []
    rows: list[Row] = []
    for i, object_id in enumerate(result.object_ids):
        row: Row = {
            "id": object_id,
            "predicted_iou": _number(masks.predicted_iou[i], 4),
            "box_xyxy": [int(v) for v in masks.boxes_xyxy[i]],
            "area": int(masks.areas[i]),
        }
        if len(masks.stability_score):
            row["stability_score"] = _number(masks.stability_score[i], 4)
        if result.tracks:
            row |= _track(result.tracks[i])
        if i < len(prompts):
            row["prompt"] = prompts[i]
        if with_rle:
            row["rle"] = texts[i]
        rows.append(row)
    return rows


def _track(track: TrackStatus) -> Row:
    box = track.last_box_xyxy
    return {
        "track_id": track.track_id,
        "state": track.state,
        "unseen_ms": _number(track.unseen_ms, 3),
        "last_box_xyxy": None if box is None else [_number(v, 1) for v in box],
    }


def _prompts(result: Result) -> list[Row]:
    """What was asked; in everything mode the point of each mask, if known."""
    if result.prompts:
        return [_prompt(prompt) for prompt in result.prompts]
    return [_prompt(Prompt.point(x, y, FOREGROUND)) for x, y in result.masks.point_coords.tolist()]


def _prompt(prompt: Prompt) -> Row:
    is_corner = prompt.point_labels >= BOX_TOP_LEFT
    coords = np.round(prompt.point_coords.astype(np.float64), 2)
    row: Row = {}
    if not is_corner.all():
        row["point_coords"] = coords[~is_corner].tolist()
        row["point_labels"] = prompt.point_labels[~is_corner].tolist()
    if is_corner.any():
        in_order = np.argsort(prompt.point_labels[is_corner])
        row["box_xyxy"] = coords[is_corner][in_order].reshape(-1).tolist()
    if prompt.mask_input is not None:
        row["mask_input"] = True
    return row


def _number(value: SupportsFloat, digits: int) -> float | None:
    """Round; JSON knows no NaN and no infinity, so those are None."""
    number = float(value)
    return round(number, digits) if math.isfinite(number) else None
