"""Grid against SAM's generator written plainly (`tests/oracles/amg.py`), on the same engines."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tqdm import tqdm

from benchmarks.everything import strategies
from benchmarks.everything.photos import photos
from edgesam_rt.api import Segmenter
from edgesam_rt.bench.measure import series
from edgesam_rt.decoders import asking
from edgesam_rt.engines import EngineSet
from edgesam_rt.imaging import rle
from edgesam_rt.segmenter import SCORE_CHUNK
from edgesam_rt.types import F64
from tests.oracles import amg

SAME = 0.99  # IoU from which two masks are the same


def options_for(engines: EngineSet) -> amg.Options:
    """The bundle's own thresholds for the oracle."""
    given = msgspec.structs.asdict(engines.bundle.manifest.everything)
    # Products of matrices of other sizes differ in the last bit: the same outputs, the same batch.
    return amg.options_of({**given, "points_per_batch": SCORE_CHUNK}, amg.Options)


def measure(engines: EngineSet, data: Path, limit: int) -> dict[str, object]:
    """Both on every photo, in turns; end to end: from pixels to run lengths."""
    rows = []
    with Segmenter(engines) as seg:
        encoder = engines.open_encoder(seg.encoder_side)
        decoder = asking(engines.open_decoder(), "the plain generator")
        options = options_for(engines)
        strategies.ask(seg, np.zeros((48, 64, 3), np.uint8), "grid")[0].rle()  # warm-up
        for photo in tqdm(photos(data, limit), total=limit, unit="photo", file=sys.stderr):
            started = time.perf_counter_ns()
            ours = list(seg.everything(photo.pixels, strategy="grid").rle())
            middle = time.perf_counter_ns()
            found = amg.generate(decoder, encoder.encode, photo.pixels, options)
            ended = time.perf_counter_ns()
            size = list(photo.pixels.shape[:2])
            plain: list[dict[str, object]] = [
                {"size": size, "counts": rle.compress(f.runs)} for f in found if f.area
            ]
            row = compare(ours, plain)
            row |= {"ms": (middle - started) / 1e6, "plain_ms": (ended - middle) / 1e6}
            rows.append({"photo": photo.name, **row})
        encoder.close()
        decoder.close()
    total = {k: sum(r[k] for r in rows) for k in ("plain_masks", "matched", "missing", "extra")}
    ratios = [r["plain_ms"] / r["ms"] for r in rows]
    return {
        "photos": len(rows),
        "iou": SAME,
        **total,
        "ms": series([r["ms"] for r in rows]),
        "plain_ms": series([r["plain_ms"] for r in rows]),
        "times_faster": series(ratios),
        "different": [r for r in rows if r["missing"] or r["extra"]],
    }


def compare(ours: list[dict[str, object]], plain: list[dict[str, object]]) -> dict[str, Any]:
    """How many masks of one have a partner in the other, one to one, the most alike first."""
    iou = _iou(ours, plain)
    matched = 0
    while iou.size:
        i, j = np.unravel_index(int(iou.argmax()), iou.shape)
        if iou[i, j] < SAME:
            break
        matched += 1
        iou[i, :] = iou[:, j] = -1.0
    best = _iou(ours, plain).max(0, initial=0.0) if len(plain) else np.ones(1)
    return {
        "plain_masks": len(plain),
        "matched": matched,
        "missing": len(plain) - matched,
        "extra": len(ours) - matched,
        "worst_iou": round(float(best.min()), 5),
    }


def _iou(ours: list[dict[str, object]], plain: list[dict[str, object]]) -> F64:
    from pycocotools import mask as coco

    if not ours or not plain:
        return np.zeros((len(ours), len(plain)))
    return np.array(coco.iou(ours, plain, [0] * len(plain)), np.float64)
