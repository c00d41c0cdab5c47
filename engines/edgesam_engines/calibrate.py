"""Activation ranges of a float graph over calibration pictures, streamed: one picture in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from edgesam_engines.errors import CalibrationError
from edgesam_engines.recipe import Calibration
from edgesam_rt.errors import ImageError
from edgesam_rt.imaging.files import read_image
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.manifest import Preprocess
from edgesam_rt.types import F32, U8

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
Ranges = dict[str, tuple[float, float]]
log = logging.getLogger(__name__)


def photos(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted.

    Raises:
        CalibrationError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise CalibrationError(
            f"calibration folder {folder}: no pictures ({', '.join(SUFFIXES)}). "
            "Name a folder with some dozen photos like those the camera will see."
        )
    return found


def spread(found: Sequence[Path], count: int) -> list[Path]:
    """Return `count` of them, evenly spread over the list."""
    count = min(count, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def pictures(paths: Iterable[Path], side: int, preprocess: Preprocess) -> Iterator[U8]:
    """Each picture as the encoder will see it, (S, S, 3) uint8; unreadable ones are left out."""
    for path in paths:
        try:
            pixels = read_image(path)
        except ImageError as error:
            log.warning("calibration: left out: %s", error)
            continue
        fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), side)
        yield to_encoder_input(pixels, fit, preprocess.pad_value)


def activation_ranges(
    model: onnx.ModelProto, feeds: Iterable[F32], estimator: str, threads: int = 1
) -> Ranges:
    """Smallest and largest value of every float tensor of a graph.

    Args:
        model: a float graph with one input; shapes inferred.
        feeds: values of that input.
        estimator: "minmax" over all feeds, or "mean_minmax": the mean of each feed's extremes.
        threads: of the float run. One thread gives the same bits on every machine of a kind.

    Raises:
        CalibrationError: there was no feed.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = _float_tensors(model)
    extremes: list[str] = []
    for name in names:
        for op in ("ReduceMin", "ReduceMax"):
            out = f"{name}/{op}"
            watched.graph.node.append(helper.make_node(op, [name], [out], keepdims=0))
            watched.graph.output.append(
                helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, [])
            )
            extremes.append(out)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (source,) = (i.name for i in session.get_inputs())
    rows = [session.run(extremes, {source: feed}) for feed in feeds]
    if not rows:
        raise CalibrationError("calibration: none of the pictures could be read.")
    table = np.array(rows, np.float64).reshape(len(rows), len(names), 2)
    if estimator == "minmax":
        low, high = table[..., 0].min(0), table[..., 1].max(0)
    else:
        low, high = table[..., 0].mean(0), table[..., 1].mean(0)
    return {n: (_tidy(low[i]), _tidy(high[i])) for i, n in enumerate(names)}


def _float_tensors(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    described = [*graph.input, *graph.value_info, *graph.output]
    floats = {v.name for v in described if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    made = [v.name for v in graph.input] + [name for node in graph.node for name in node.output]
    return [name for name in made if name in floats]


def _tidy(value: float) -> float:
    """Round to 8 significant bits, so that the last bits of a float run change no engine's hash."""
    if value == 0:
        return 0.0
    step = 2.0 ** (np.floor(np.log2(abs(value))) - 8)
    return float(np.round(value / step) * step)


def encoder_feeds(
    paths: Sequence[Path], side: int, preprocess: Preprocess, shape: Sequence[int]
) -> Iterator[F32]:
    """The float input of an encoder graph, (1, C, H, W), where C may be grouped pixels."""
    _, channels, height, width = shape
    mean, std = np.float32(preprocess.mean[0]), np.float32(preprocess.std[0])
    for picture in pictures(paths, side, preprocess):
        grouped = picture.reshape(1, height, width, channels).transpose(0, 3, 1, 2)
        yield np.ascontiguousarray((grouped.astype(np.float32) - mean) / std)


def chosen_photos(folder: Path, calibration: Calibration) -> tuple[list[Path], list[Path]]:
    """Photos to calibrate on, and as many others (fewer if there are few) to check engines on."""
    found = photos(folder)
    use = spread(found, calibration.photos)
    taken = set(use)
    rest = [p for p in found if p not in taken]
    return use, spread(rest or found, calibration.photos)
