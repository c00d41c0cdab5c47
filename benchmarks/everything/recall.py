"""Average recall of class-agnostic masks, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.everything.photos import truth
from edgesam_rt.records import MaskSet
from edgesam_rt.types import F64

MOST = (10, 100, 1000)  # masks per photo
AREAS = ("all", "small", "medium", "large")
Rle = dict[str, object]


def texts(found: MaskSet) -> list[Rle]:
    """Masks in their order, the best first, as COCO's text; no more than count."""
    return found[: MOST[-1]].rle()


def average_recall(data: Path, found: Mapping[int, list[Rle]]) -> dict[str, float | None]:
    """AR@10, AR@100 and AR@1000 over IoU 0.5:0.95, and the last by size of object.

    Masks count in the order in which they are given, whatever they are called; crowds are left out
    as COCO does it: they are no objects to find, and masks on them no mistakes.

    Args:
        data: folder that holds coco-val.
        found: masks of each photo, the best first.

    Returns:
        "ar10", "ar100", "ar1000" and "ar1000_small" …, each in [0, 1]; None where nothing is to
        be found.
    """
    from pycocotools.cocoeval import COCOeval

    coco = truth(data, list(found))
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(coco, _detections(coco, found), "segm")
        judge.params.useCats = 0
        judge.params.imgIds = sorted(found)
        judge.params.maxDets = list(MOST)
        judge.evaluate()
        judge.accumulate()
    recall = np.asarray(judge.eval["recall"], np.float64)  # IoU threshold, category, area, most
    out = {f"ar{most}": _mean(recall[:, :, 0, i]) for i, most in enumerate(MOST)}
    for i, area in enumerate(AREAS[1:], 1):
        out[f"ar{MOST[-1]}_{area}"] = _mean(recall[:, :, i, -1])
    return out


def _mean(values: F64) -> float | None:
    """Of those that are known (-1 is not)."""
    known = values[values > -1]
    return round(float(known.mean()), 5) if known.size else None


def _detections(coco: Any, found: Mapping[int, list[Rle]]) -> Any:
    category = next(iter(coco.cats))  # any: categories are not used
    rows = [
        {
            "image_id": image_id,
            "category_id": category,
            "segmentation": mask,
            "score": 1.0 - rank * 1e-4,
        }
        for image_id, masks in found.items()
        for rank, mask in enumerate(masks)
    ]
    if rows:
        return coco.loadRes(rows)
    empty = type(coco)()
    empty.dataset = {**coco.dataset, "annotations": []}
    empty.createIndex()
    return empty
