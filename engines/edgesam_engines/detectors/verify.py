"""Finished detectors, run by the runtime itself, against the float model and against the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from edgesam_engines import calibrate, pack
from edgesam_engines.detectors import recall
from edgesam_engines.detectors.recipe import Acceptance
from edgesam_engines.errors import VerificationError
from edgesam_rt import selftest
from edgesam_rt.bundle import DetectorBundle, load_detector
from edgesam_rt.detector import Detector, sketch
from edgesam_rt.detector_manifest import KIND, DetectorSelfTest, KnownBox
from edgesam_rt.imaging.files import read_image
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.types import F64

BACKEND = "onnxruntime"
CHECKED_PHOTOS = 64
SURE = 0.3  # score from which a box of the float model is to be found again
NEAR = 0.8  # IoU at which it is
KNOWN_SCORE = 0.1  # of boxes on the built-in pictures that the self-test asks for
SELF_TEST = {"min_iou": 0.75, "max_score_difference": 0.15, "min_cosine": 0.95}


def known_answers(bundle: DetectorBundle) -> DetectorSelfTest:
    """What the finished engine finds on the built-in pictures, to be found on every board.

    Raises:
        VerificationError: it finds nothing there.
    """
    detector = Detector(bundle, EngineOptions(BACKEND))
    boxes = []
    for i, picture in enumerate(selftest.pictures()):
        found = detector.detect(picture)
        if len(found.score) and found.score[0] >= KNOWN_SCORE:
            xyxy = [round(float(v), 1) for v in found.xyxy[0]]
            boxes.append(
                KnownBox(
                    picture=i,
                    xyxy=(xyxy[0], xyxy[1], xyxy[2], xyxy[3]),
                    score=round(float(found.score[0]), 3),
                )
            )
    values = tuple(sketch(detector))
    detector.close()
    if not boxes:
        raise VerificationError("detector: nothing is found on the built-in pictures.")
    return DetectorSelfTest(boxes=tuple(boxes), sketch=values, **SELF_TEST)


def report(
    bundle: DetectorBundle,
    float_engine: onnx.ModelProto,
    photos: Sequence[Path],
    truth_folders: Sequence[Path],
) -> dict[str, Any]:
    """Compare a detector with its float model, and both with true boxes.

    Args:
        bundle: the finished one.
        float_engine: of the same inputs and outputs.
        photos: none of those it was calibrated on.
        truth_folders: photos with id maps, see `recall`; may be none.
    """
    with tempfile.TemporaryDirectory() as scratch:
        twin = _float_twin(bundle, float_engine, Path(scratch))
        reference = Detector(twin, EngineOptions(BACKEND))
        engine = Detector(bundle, EngineOptions(BACKEND))
        made = {
            "compared_with": "the float model, all layers float",
            "backend": BACKEND,
            "boxes": _against_float(reference, engine, photos),
        }
        both = {"float": reference, "engine": engine}
        for folder in truth_folders:
            made[f"recall_{folder.name}"] = _against_truth(both, folder)
        for detector in both.values():
            detector.close()
    return made


def _float_twin(bundle: DetectorBundle, engine: onnx.ModelProto, folder: Path) -> DetectorBundle:
    side = bundle.sides(BACKEND)[0]
    entry = pack.write_engine(folder, engine, KIND, side, {})
    pack.write_manifest(
        folder,
        msgspec.structs.replace(
            bundle.manifest, name="float", precision="fp32", engines=(entry,), self_test=_NO_TEST
        ),
    )
    return load_detector(folder)


_NO_TEST = DetectorSelfTest(min_iou=0, max_score_difference=1, min_cosine=0, boxes=(), sketch=())


def _against_float(reference: Detector, made: Detector, photos: Sequence[Path]) -> dict[str, Any]:
    ious, checked = [np.zeros(0)], calibrate.spread(photos, CHECKED_PHOTOS)
    for path in checked:
        pixels = read_image(path)
        wanted = reference.detect(pixels)
        ious.append(recall.best_ious(wanted.xyxy[wanted.score >= SURE], made.detect(pixels).xyxy))
    every = np.concatenate(ious)
    return {
        "photos": len(checked),
        "boxes": len(every),
        "score_of_boxes": SURE,
        f"found_at_{NEAR}": _share(every, NEAR),
        "mean_box_iou": round(float(every.mean()), 4) if len(every) else 1.0,
    }


def _against_truth(detectors: Mapping[str, Detector], folder: Path) -> dict[str, Any]:
    """Class-agnostic box recall of every detector."""
    ious: dict[str, list[F64]] = {name: [] for name in detectors}
    paths = recall.photos([folder])
    for truth in recall.truths(paths):
        for name, detector in detectors.items():
            ious[name].append(recall.best_ious(truth.xyxy, detector.detect(truth.pixels).xyxy))
    rows: dict[str, Any] = {"photos": len(paths)}
    for name, parts in ious.items():
        every = np.concatenate(parts)
        rows["boxes"] = len(every)
        rows[name] = {
            "average_recall": round(recall.average_recall(every), 4),
            "recall_at_0.5": _share(every, 0.5),
            f"recall_at_{NEAR}": _share(every, NEAR),
        }
    return rows


def _share(ious: F64, least: float) -> float:
    return round(float((ious >= least).mean()), 4) if len(ious) else 1.0


def require(made: Mapping[str, Any], acceptance: Acceptance) -> None:
    """Refuse an engine that is under its recipe's target.

    Raises:
        VerificationError: with the figures.
    """
    found = made["boxes"][f"found_at_{NEAR}"]
    if found < acceptance.boxes_found:
        raise VerificationError(
            f"detector: finds {found} of the float model's boxes, the recipe asks for "
            f"{acceptance.boxes_found}. {made['boxes']}"
        )
