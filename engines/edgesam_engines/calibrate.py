"""Calibration pictures as the encoder sees them, and smallest and largest values over them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgesam_engines.errors import CalibrationError, no_picture
from edgesam_engines.ptq.graphs import Feed, float_tensors, grouped, session, with_outputs
from edgesam_engines.ptq.graphs import spread as spread
from edgesam_engines.ptq.ranges import Ranges, tidy
from edgesam_engines.recipe import Calibration
from edgesam_rt.errors import ImageError
from edgesam_rt.imaging.files import PICTURE_SUFFIXES, is_picture_name, read_image
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import Preprocess
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.types import F32, U8

EXTREMES = ("minmax", "mean_minmax")  # estimators that need smallest and largest values only
EXTREMES_BYTES = 512 << 20  # of tensors watched at once: a whole encoder of side 512
log = logging.getLogger(__name__)


def photos(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted.

    Raises:
        CalibrationError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if is_picture_name(p))
    if not found:
        raise CalibrationError(
            f"calibration folder {folder}: no pictures ({', '.join(PICTURE_SUFFIXES)}). "
            "Name a folder with some dozen photos like those the camera will see."
        )
    return found


def pictures(paths: Iterable[Path], side: int, preprocess: Preprocess) -> Iterator[tuple[U8, Fit]]:
    """Each picture in the encoder's square, (S, S, 3) uint8; unreadable ones are left out."""
    for path in paths:
        try:
            pixels = read_image(path)
        except ImageError as error:
            log.warning("calibration: left out: %s", error)
            continue
        fit = fit_for((pixels.shape[0], pixels.shape[1]), side, preprocess)
        yield to_square(pixels, fit, preprocess), fit


def activation_ranges(model: onnx.ModelProto, feeds: Iterable[Feed], estimator: str) -> Ranges:
    """Smallest and largest value of every float tensor of a graph.

    Found inside the graph. Where its tensors take more than EXTREMES_BYTES together, they are
    watched in groups, each in a pass of its own.

    Args:
        model: a float graph; shapes inferred.
        feeds: values of its inputs, picture by picture; each `iter` is a pass.
        estimator: "minmax" over all feeds, or "mean_minmax": the mean of each feed's extremes.

    Raises:
        CalibrationError: there was no feed.
    """
    found: Ranges = {}
    for names in grouped(float_tensors(model), EXTREMES_BYTES):
        rows = _extremes(model, names, feeds)
        if not rows:
            raise no_picture()
        table = np.array(rows, np.float64).reshape(len(rows), len(names), 2)
        if estimator == "minmax":
            low, high = table[..., 0].min(0), table[..., 1].max(0)
        else:
            low, high = table[..., 0].mean(0), table[..., 1].mean(0)
        found.update({n: (tidy(low[i]), tidy(high[i])) for i, n in enumerate(names)})
    return found


def _extremes(
    model: onnx.ModelProto, names: Sequence[str], feeds: Iterable[Feed]
) -> list[list[F32]]:
    """Per feed: smallest and largest value of each tensor in turn."""
    watched = with_outputs(model, names)
    del watched.graph.output[:]
    extremes: list[str] = []
    for name in names:
        for op in ("ReduceMin", "ReduceMax"):
            out = f"{name}/{op}"
            watched.graph.node.append(helper.make_node(op, [name], [out], keepdims=0))
            watched.graph.output.append(
                helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, [])
            )
            extremes.append(out)
    run = session(watched)
    return [run.run(extremes, dict(feed)) for feed in feeds]


def encoder_feeds(
    paths: Sequence[Path], side: int, preprocess: Preprocess, shape: Sequence[int]
) -> Iterator[F32]:
    """The float input of an encoder graph, (1, C, H, W), where C may be grouped pixels."""
    _, channels, height, width = shape
    for picture, fit in pictures(paths, side, preprocess):
        values = normalised(picture, fit, preprocess)
        yield np.ascontiguousarray(values.reshape(1, height, width, channels).transpose(0, 3, 1, 2))


def chosen_photos(folder: Path, calibration: Calibration) -> tuple[list[Path], list[Path]]:
    """Photos to calibrate on, and as many others (fewer if there are few) to check engines on."""
    found = photos(folder)
    use = spread(found, calibration.photos)
    taken = set(use)
    rest = [p for p in found if p not in taken]
    return use, spread(rest or found, calibration.photos)
