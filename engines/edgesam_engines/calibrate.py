"""Calibration pictures as the encoder sees them, and smallest and largest values over them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgesam_engines.errors import CalibrationError, no_picture
from edgesam_engines.ptq.graphs import (
    Feed,
    Feeds,
    Progress,
    float_tensors,
    grouped,
    session,
    with_outputs,
)
from edgesam_engines.ptq.graphs import spread as spread
from edgesam_engines.ptq.ranges import Ranges, tidy
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.recipe import Calibration
from edgesam_engines.train.own.folder import masks_among
from edgesam_rt.errors import ImageError
from edgesam_rt.imaging.files import PICTURE_SUFFIXES, is_picture_name, read_image
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import Preprocess
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.types import F32, U8

EXTREMES = ("minmax", "mean_minmax")  # estimators that need smallest and largest values only
EXTREMES_BYTES = 512 << 20  # of tensors watched at once: a whole encoder of side 512
LEAST_SIDE = 32  # px: smaller pictures are icons, and say nothing of what a camera sees
_WANTED = "Name a folder with some dozen photos like those the camera will see."
log = logging.getLogger(__name__)


def photos(folder: Path) -> list[Path]:
    """All pictures below a folder that are no masks of others, sorted.

    Raises:
        CalibrationError: there are none.
    """
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise CalibrationError(f"calibration folder {folder}: {what}. {_WANTED}")
    every = sorted(p for p in folder.rglob("*") if is_picture_name(p))
    masks = masks_among(every)
    found = [p for p in every if p not in masks]
    if not found:
        raise CalibrationError(
            f"calibration folder {folder}: no pictures ({', '.join(PICTURE_SUFFIXES)}). {_WANTED}"
        )
    return found


def usable(paths: Sequence[Path], progress: Progress) -> list[Path]:
    """Those that can be read and are no icons; what is left out is told once, with the reason.

    Raises:
        CalibrationError: none is left.
    """
    found = []
    for path in paths:
        try:
            h, w = read_image(path).shape[:2]
        except ImageError as error:
            progress(f"left out: {error}")
            continue
        if min(h, w) < LEAST_SIDE:
            progress(f"left out: {path}: {w} x {h} px, expected {LEAST_SIDE} or more")
            continue
        found.append(path)
    if not found:
        raise no_picture()
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


def activation_ranges(
    model: onnx.ModelProto,
    feeds: Feeds,
    estimator: str,
    *,
    progress: Progress | None = None,
    shelf: Shelf | None = None,
) -> Ranges:
    """Smallest and largest value of every float tensor of a graph.

    Found inside the graph. Where its tensors take more than EXTREMES_BYTES together, they are
    watched in groups, each in a pass of its own.

    Args:
        model: a float graph; shapes inferred.
        feeds: values of its inputs, picture by picture; each `iter` is a pass.
        estimator: "minmax" over all feeds, or "mean_minmax": the mean of each feed's extremes.
        progress: told of every group.
        shelf: where every group's are kept, and taken from.

    Raises:
        CalibrationError: there was no feed.
    """
    found: Ranges = {}
    groups = list(grouped(float_tensors(model), EXTREMES_BYTES))
    box = (shelf or Shelf()).box(model, feeds, "extremes", EXTREMES_BYTES)
    for number, names in enumerate(groups, 1):
        told = f"ranges: group {number} of {len(groups)}, {len(names)} tensors"
        make = partial(_rows, model, names, feeds)
        rows = box.recall(f"{number}", told, progress, make)["rows"]
        table = rows.astype(np.float64).reshape(len(rows), len(names), 2)
        if estimator == "minmax":
            low, high = table[..., 0].min(0), table[..., 1].max(0)
        else:
            low, high = table[..., 0].mean(0), table[..., 1].mean(0)
        found.update({n: (tidy(low[i]), tidy(high[i])) for i, n in enumerate(names)})
    return found


def _rows(model: onnx.ModelProto, names: Sequence[str], feeds: Iterable[Feed]) -> dict[str, F32]:
    """The extremes of every feed, to be kept."""
    rows = np.array(_extremes(model, names, feeds))
    if not len(rows):
        raise no_picture()
    return {"rows": rows}


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
    for picture, fit in pictures(paths, side, preprocess):
        yield as_input(normalised(picture, fit, preprocess), shape)


def as_input(values: F32, shape: Sequence[int]) -> F32:
    """Normalised pixels (S, S, 3) as a float graph's input (1, C, H, W)."""
    _, channels, height, width = shape
    return np.ascontiguousarray(values.reshape(1, height, width, channels).transpose(0, 3, 1, 2))


def chosen_photos(folder: Path, calibration: Calibration) -> tuple[list[Path], list[Path]]:
    """Photos to calibrate on, and as many others (fewer if there are few) to check engines on."""
    found = photos(folder)
    use = spread(found, calibration.photos)
    taken = set(use)
    rest = [p for p in found if p not in taken]
    return use, spread(rest or found, calibration.photos)
