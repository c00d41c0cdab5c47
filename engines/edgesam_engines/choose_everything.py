"""Which thresholds of everything mode suit a bundle's scores: chosen on photos kept apart.

    python -m edgesam_engines.choose_everything --bundle FOLDER --config RECIPE --json FILE

SAM's thresholds are made for SAM's scores; another model's say something else. Here every answer to
every point of the grid is made once, on photos that were kept apart from training (never on
coco-val), and then filtered in all ways of a table: average recall at 10, 100 and 1,000 masks (IoU
0.5 to 0.95), masks made and masks kept. Labels are not complete, which recall does not mind. Of the
settings that make at most `--made` masks per photo, and find next to nothing in uniform pictures,
the one with the highest mean of the three recalls is proposed; among equals, the one that keeps the
fewest masks. The logit of the hierarchical mode is chosen with it: the lowest that loses at most a
quarter of a point of recall at 1,000 masks against the best.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edgesam_engines.train.config import RecipeError, load_recipe
from edgesam_engines.train.sources import Labelled, decode, split_sources
from edgesam_rt import bundle as bundles
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything import grid
from edgesam_rt.everything.strategies import Request, everything
from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.prompt_feeds import from_points
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from edgesam_rt.types import F32, F64, I64, Bool

BACKEND = "onnxruntime"
IOUS = np.arange(0.5, 1.0, 0.05)
MOST = (10, 100, 1000)
FIRST = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
MARGIN = (0.0, 0.1, 1.0)
APART = (1.0, 0.8, 0.7, 0.6, 0.5)
JUDGED = (0.2, 0.35, 0.5)
STABLE = (0.0, 0.7)
NMS = (0.7, 0.8)
HIGH = (1.0, 2.0, 3.0, 4.0, 6.0, 8.5)
BLANK = (0, 64, 127, 200, 255)  # shades of uniform pictures
BLANK_HW = (480, 640)
MOST_ON_BLANK = 6  # masks: a picture with nothing on it is to give next to nothing
_BATCH = 64
_NEARLY = 0.05  # points of recall that fewer masks to look through are worth
log = logging.getLogger(__name__)


class Made(NamedTuple):
    """All answers of one photo that were made."""

    first: F32
    gap: F32  # of the first score to the best of the same point
    expected: F32  # (K, 4) boxes that answers were expected to fill
    judged: F32
    stable: F32
    boxes: F32
    overlaps: F64  # (K, objects) mask IoU


@dataclass(frozen=True)
class Photo:
    """A photo kept apart, encoded."""

    embedding: Embedding
    objects: Bool  # (N, h, w) at picture size


class Look(NamedTuple):
    """Which answers are made."""

    first_look_thresh: float
    first_look_margin: float
    first_look_nms_thresh: float


class Filter(NamedTuple):
    """Which of the masks made are kept."""

    pred_iou_thresh: float
    stability_score_thresh: float
    box_nms_thresh: float


SETTINGS = (*Look._fields, *Filter._fields)


def recalls(overlaps: F64) -> list[float]:
    """Average recall of masks (K, N) in their order, at the numbers of MOST."""
    out = []
    for most in MOST:
        best = overlaps[:most].max(0, initial=0.0)
        out.append(float((best[:, None] >= IOUS).mean()))
    return out


def looked(made: Made, look: Look) -> I64:
    """Which answers would be made."""
    wanted = made.first > look.first_look_thresh
    rows = np.flatnonzero(wanted & (made.gap <= look.first_look_margin))
    if look.first_look_nms_thresh >= 1:
        return rows
    kept = mask_ops.nms(made.expected[rows], made.first[rows], look.first_look_nms_thresh)
    return rows[kept]


def filtered(made: Made, wanted: I64, by: Filter) -> I64:
    """Which of the masks made are left, best first."""
    good = made.judged[wanted] > by.pred_iou_thresh
    good &= made.stable[wanted] >= by.stability_score_thresh
    rows = wanted[good]
    return rows[mask_ops.nms(made.boxes[rows], made.judged[rows], by.box_nms_thresh)]


def make_all(decoder: Decoder, photo: Photo, facts: EverythingFacts) -> Made:
    """Make every answer to the grid's points that any setting could want."""
    embedding = photo.embedding
    points = grid.points(facts.points_per_side, embedding.image_hw)
    batch = from_points(points, embedding.fit, decoder.facts)
    scored = decoder.score(embedding, batch)
    assert scored.boxes is not None
    columns = np.array(decoder.facts.ambiguous_answers)
    rows, picked = np.nonzero(scored.predicted_iou[:, columns] > min(FIRST))
    answers = columns[picked]
    best = scored.predicted_iou[:, columns].max(1)
    cut, truth = decoder.facts.mask_threshold, _in_cells(photo, embedding.fit, decoder)
    parts = []
    for at in range(0, len(rows), _BATCH):
        r, a = rows[at : at + _BATCH], answers[at : at + _BATCH]
        made = decoder.masks(embedding, batch, scored, r, a)
        upscaled = Upscaled(made.logits, embedding.fit)
        parts.append(
            Made(
                scored.predicted_iou[r, a],
                best[r] - scored.predicted_iou[r, a],
                scored.boxes[r, a],
                made.predicted_iou,
                upscaled.stability_scores(cut, facts.stability_score_offset),
                upscaled.boxes(cut),
                _overlaps(made.logits > cut, truth),
            )
        )
    return Made(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _in_cells(photo: Photo, fit: Fit, decoder: Decoder) -> F32:
    """(N, h, w) share of each low-resolution cell that an object fills."""
    import cv2

    h, w = (n // decoder.facts.mask_stride for n in fit.covered(decoder.facts.cut_multiple or 32))
    inner = tuple(max(1, n // decoder.facts.mask_stride) for n in fit.scaled_hw)
    out = np.zeros((len(photo.objects), h, w), np.float32)
    for i, mask in enumerate(photo.objects):
        small = cv2.resize(mask.astype(np.float32), inner[::-1], interpolation=cv2.INTER_AREA)
        out[i, : inner[0], : inner[1]] = small
    return out


def _overlaps(masks: Bool, truth: F32) -> F64:
    """(K, N) IoU of masks with objects given as shares of cells."""
    a = masks[:, : truth.shape[1], : truth.shape[2]].reshape(len(masks), -1).astype(np.float32)
    b = truth.reshape(len(truth), a.shape[1])
    shared = a @ b.T
    return np.asarray(shared / (a.sum(1)[:, None] + b.sum(1) - shared + 1e-9), np.float64)


def sweep(made: Sequence[Made], blank: Sequence[Made], most_made: float) -> list[dict[str, Any]]:
    """Every setting that makes few enough masks: recalls over all objects, masks made and kept.

    Settings that find things in uniform pictures, `blank`, are left out.
    """
    table = []
    objects = np.array([m.overlaps.shape[1] for m in made], np.float64)
    for look in itertools.starmap(Look, itertools.product(FIRST, MARGIN, APART)):
        wanted = [looked(m, look) for m in made]
        n_made = round(float(np.mean([len(w) for w in wanted])), 1)
        if n_made > most_made:
            continue
        for by in itertools.starmap(Filter, itertools.product(JUDGED, STABLE, NMS)):
            if max(len(filtered(m, looked(m, look), by)) for m in blank) > MOST_ON_BLANK:
                continue
            kept = [m.overlaps[filtered(m, w, by)] for m, w in zip(made, wanted, strict=True)]
            per_photo = np.array([recalls(overlaps) for overlaps in kept])
            ar = (per_photo * objects[:, None]).sum(0) / objects.sum()
            row = {f"ar{most}": round(100 * float(v), 2) for most, v in zip(MOST, ar, strict=True)}
            row |= {"made": n_made, "kept": round(float(np.mean([len(k) for k in kept])), 1)}
            table.append({**look._asdict(), **by._asdict(), **row})
    return table


def choose(table: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Nearly the highest mean recall, and of those the fewest kept."""

    def recall(row: dict[str, Any]) -> float:
        return float(np.mean([row[f"ar{n}"] for n in MOST]))

    best = max(map(recall, table))
    return min((r for r in table if recall(r) >= best - _NEARLY), key=lambda r: r["kept"])


def sweep_high(decoder: Decoder, photos: Sequence[Photo], facts: EverythingFacts) -> list[Any]:
    """The hierarchical mode at several logits: recalls, and masks kept."""
    table = []
    for high in HIGH:
        own = msgspec.structs.replace(facts, high_score_thresh=high)
        sums, objects = np.zeros(len(MOST)), 0
        for photo in photos:
            found = everything("hierarchical", Request(decoder, photo.embedding, own))
            truth = _in_cells(photo, photo.embedding.fit, decoder)
            n = len(photo.objects)
            sums += n * np.array(
                recalls(_overlaps(found.low_res_logits > found.mask_threshold, truth))
            )
            objects += n
        row = {f"ar{m}": round(100 * v / objects, 2) for m, v in zip(MOST, sums, strict=True)}
        table.append({"high_score_thresh": high, **row})
    return table


def choose_high(table: Sequence[dict[str, Any]], lost: float = 0.25) -> float:
    """The lowest logit that loses at most so many points of recall at most masks."""
    best = max(row[f"ar{MOST[-1]}"] for row in table)
    fair = [r["high_score_thresh"] for r in table if r[f"ar{MOST[-1]}"] >= best - lost]
    return float(min(fair))


def photos_apart(data: Path, config: Path, encoder: Encoder, most: int) -> list[Photo]:
    """Photos of the validation part with at least two objects, evenly from all sources."""
    split = split_sources(data, load_recipe(config).data)
    found: list[Photo] = []
    for entries in itertools.zip_longest(*split.validation.values()):
        for entry in entries:
            if entry is None or len(found) >= most:
                continue
            labelled = decode(entry)
            masks = _objects(labelled)
            if len(masks) >= 2:
                found.append(Photo(encoder.encode(labelled.image), np.stack(masks)))
    return found


def blanks(encoder: Encoder) -> list[Photo]:
    """Uniform pictures: there is nothing to find."""
    h, w = BLANK_HW
    nothing = np.zeros((0, h, w), np.bool_)
    return [Photo(encoder.encode(np.full((h, w, 3), shade, np.uint8)), nothing) for shade in BLANK]


def _objects(labelled: Labelled) -> list[Bool]:
    least = labelled.ids.size * 0.0004  # about 11x11 px of 640x480
    return [labelled.ids == row.id for row in labelled.objects if row.area >= least]


def _run(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    bundle = bundles.find(args.bundle)
    options = EngineOptions(BACKEND)
    side = bundle.sides(BACKEND)[0]
    encoder, decoder = Encoder(bundle, options, side), Decoder(bundle, options, side)
    try:
        photos = photos_apart(args.data, args.config, encoder, args.photos)
    except RecipeError as error:
        raise ConfigError(str(error)) from error
    if not photos:
        raise ConfigError(f"{args.data}: no photo kept apart has two objects. Give other --data.")
    log.info("%d photos, %d objects", len(photos), sum(len(p.objects) for p in photos))
    facts = bundle.manifest.everything
    blank = [make_all(decoder, photo, facts) for photo in blanks(encoder)]
    made = []
    for i, photo in enumerate(photos):
        made.append(make_all(decoder, photo, facts))
        log.info("photo %d of %d: %d masks", i + 1, len(photos), len(made[-1].first))
    table = sweep(made, blank, args.made)
    if not table:
        raise ConfigError(f"--made {args.made}: every setting makes more masks. Allow more.")
    best = choose(table)
    chosen = msgspec.structs.replace(facts, **{k: best[k] for k in SETTINGS})
    high = sweep_high(decoder, photos, chosen)
    best = {**best, "high_score_thresh": choose_high(high)}
    report = {"bundle": bundle.label, "photos": len(photos), "chosen": best, "high": high}
    args.json.write_text(json.dumps({**report, "table": table}, indent=1) + "\n", "utf-8")
    for key in (*SETTINGS, "high_score_thresh"):
        log.info("%s = %s", key, best[key])
    log.info("masks made per photo %s, kept %s; %s", best["made"], best["kept"], args.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m edgesam_engines.choose_everything",
        description=(__doc__ or "").split("\n")[0],
    )
    p.add_argument("--bundle", required=True, metavar="NAME|PATH")
    p.add_argument("--config", type=Path, required=True, help="recipe of the training")
    p.add_argument("--json", type=Path, required=True, help="where the whole table goes")
    p.add_argument("--data", type=Path, default=Path("../shared/data"))
    p.add_argument("--photos", type=int, default=40)
    p.add_argument("--made", type=float, default=150.0, help="most masks made per photo")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(lambda: _run(_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
