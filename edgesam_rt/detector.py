"""Detector: a picture to boxes of whatever stands in it, for object-aware everything mode."""

from __future__ import annotations

import os

import numpy as np

from edgesam_rt.backends import open_engine
from edgesam_rt.boxes import Boxes
from edgesam_rt.bundle import DetectorBundle, find_detector
from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.errors import BundleError, ConfigError, SelfTestError
from edgesam_rt.imaging.boxes import choose_boxes
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.records import check_image
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.selftest import cosine, pictures
from edgesam_rt.types import F32, U8

CANDIDATES = 1000  # best boxes that NMS looks at; more are seen on no photo, and would take long
SKETCHED = 64  # places whose box sizes are compared in the self-test


class Detector:
    """The engine of a detector bundle. One thread opens, uses and closes it.

    Raises:
        ConfigError: the bundle has no engine for this backend.
        BundleError, BackendMissing, EngineLoadError: see `backends.open_engine`.
    """

    def __init__(self, bundle: DetectorBundle, options: EngineOptions) -> None:
        sides = bundle.sides(options.backend)
        if not sides:
            raise ConfigError(
                f"bundle {bundle.label}: no detector for {options.backend}. It has engines for "
                f"{', '.join(bundle.backends)}."
            )
        self.side = sides[0]
        self.facts = bundle.manifest.detector
        self._pad_value = bundle.manifest.preprocess.pad_value
        self._engine = open_engine(
            bundle, "detector", options.backend, self.side, options.backend_options
        )
        names = set(self._engine.outputs)
        if names != {BOXES, SCORES} or len(self._engine.inputs) != 1:
            self._engine.close()
            raise BundleError(
                f"bundle {bundle.folder}: a detector has one input and the outputs {BOXES!r} and "
                f"{SCORES!r}, this one has {sorted(self._engine.inputs)} -> {sorted(names)}. "
                "Install the bundle again."
            )
        (self._input,) = self._engine.inputs

    def detect(self, pixels: U8) -> Boxes:
        """Find boxes of objects of any kind.

        Args:
            pixels: (H, W, 3) uint8 RGB.

        Returns:
            At most `facts.max_boxes`, by falling score; possibly none.

        Raises:
            ShapeError: it is not such a picture.
            BackendError: the engine failed or was closed.
        """
        boxes, scores = self.every_box(pixels)
        hw = (pixels.shape[0], pixels.shape[1])
        return Boxes(*choose_boxes(boxes, scores, hw, self.facts, CANDIDATES))

    def every_box(self, pixels: U8) -> tuple[F32, F32]:
        """All that the engine says: (N, 4) boxes in picture pixels, not clipped, and (N,) scores.

        The errors are those of `detect`.
        """
        check_image(pixels)
        fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), self.side)
        square = to_encoder_input(pixels, fit, self._pad_value)
        made = self._engine.run({self._input: square[None]})
        corners = np.asarray(made[BOXES][0], np.float32).reshape(-1, 2, 2) / np.float32(self.side)
        return fit.from_unit(corners).reshape(-1, 4), np.asarray(made[SCORES][0], np.float32)

    def close(self) -> None:
        """Give the engine back; a second call does nothing."""
        self._engine.close()


def open_detector(
    name_or_path: str | os.PathLike[str] | None, options: EngineOptions, *, self_test: bool = True
) -> Detector:
    """Open a detector bundle by name or folder, tested; None is the one that ships.

    Raises:
        ConfigError: no such bundle, or it has no engine for this backend.
        BundleError: it is damaged, or no detector.
        SelfTestError: its engine gives wrong boxes here.
        BackendMissing, EngineLoadError: it cannot be run here.
    """
    bundle = find_detector(name_or_path)
    opened = Detector(bundle, options)
    if self_test:
        try:
            trust(bundle, opened)
        except BaseException:
            opened.close()
            raise
    return opened


def sketch(detector: Detector) -> list[float]:
    """Logarithms of SKETCHED box widths and heights on each built-in picture, to four digits."""
    out: list[float] = []
    for picture in pictures():
        boxes, _ = detector.every_box(picture)
        at = np.linspace(0, len(boxes) - 1, SKETCHED).astype(np.int64)
        sizes = np.log(np.maximum(boxes[at, 2:] - boxes[at, :2], np.float32(1e-3)))
        out += [float(f"{v:.4g}") for v in sizes.ravel()]
    return out


def trust(bundle: DetectorBundle, detector: Detector) -> None:
    """Test an opened detector on the built-in pictures; this also warms it up.

    Raises:
        SelfTestError: it does not give the boxes it was accepted with.
    """
    test = bundle.manifest.self_test
    advice = (
        "This engine gives wrong boxes on this machine and was refused. Try another backend or "
        "update the runtime library, and report it."
    )
    likeness = cosine(test.sketch, sketch(detector))
    if not likeness >= test.min_cosine:
        raise SelfTestError(
            f"bundle {bundle.label}: self-test failed: its boxes have other sizes than the "
            f"accepted ones (cosine {likeness:.3f}, expected at least {test.min_cosine:g}). "
            f"{advice}"
        )
    found = [detector.detect(picture) for picture in pictures()]
    for known in test.boxes:
        xyxy, score = found[known.picture]
        ious = box_iou(np.array([known.xyxy]), xyxy)[0]
        best = int(ious.argmax()) if len(ious) else -1
        iou = float(ious[best]) if len(ious) else 0.0
        apart = abs(float(score[best]) - known.score) if len(ious) else 1.0
        if not (iou >= test.min_iou and apart <= test.max_score_difference):
            raise SelfTestError(
                f"bundle {bundle.label}: self-test failed: a known box of picture {known.picture} "
                f"is not found (best IoU {iou:.3f}, expected at least {test.min_iou:g}; score off "
                f"by {apart:.3f}, expected at most {test.max_score_difference:g}). {advice}"
            )
