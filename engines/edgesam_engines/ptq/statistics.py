"""What every tensor of a float graph holds, over the calibration pictures.

Streamed: one picture in memory, and of it only as many tensors at a time as fit a limit. Tensors
are watched in groups; each group is a pass of its own over the pictures through the part of the
graph that it needs. What is kept of a tensor does not grow with its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import onnx
from onnx import helper

from edgesam_engines.errors import CalibrationError, no_picture
from edgesam_engines.ptq.graphs import (
    Feeds,
    Progress,
    float_tensors,
    grouped,
    ranged_tensors,
    session,
    with_outputs,
)
from edgesam_engines.ptq.histogram import Histogram
from edgesam_engines.ptq.shelf import Shelf
from edgesam_rt.types import F32, F64, AnyArray

WATCHED_BYTES = 512 << 20  # of tensors taken out of one run: an encoder of side 512 at once


@dataclass
class Statistics:
    """Of one tensor.

    Attributes:
        lows, highs: smallest and largest value of each picture, in their order.
        histogram: of all values.
    """

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    histogram: Histogram = field(default_factory=Histogram)

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest value of all."""
        return min(self.lows), max(self.highs)

    def add(self, values: F32) -> None:
        """Take one picture's values in."""
        self.lows.append(float(values.min()))
        self.highs.append(float(values.max()))
        self.histogram.add(values)


def collect(
    model: onnx.ModelProto,
    feeds: Feeds,
    *,
    watched_bytes: int = WATCHED_BYTES,
    progress: Progress | None = None,
    shelf: Shelf | None = None,
) -> dict[str, Statistics]:
    """Statistics of every tensor that gets a range of its own.

    Args:
        model: a float graph, shapes inferred.
        feeds: the calibration pictures.
        watched_bytes: most bytes of tensors looked at at once; a larger tensor comes alone.
        progress: told of every group.
        shelf: where every group's are kept, and taken from.

    Raises:
        CalibrationError: no picture, or a tensor with values that are not finite.
    """
    found: dict[str, Statistics] = {}
    shapes = float_tensors(model)
    groups = list(grouped({n: shapes[n] for n in ranged_tensors(model)}, watched_bytes))
    box = (shelf or Shelf()).box(model, feeds, "statistics", watched_bytes)
    for number, names in enumerate(groups, 1):
        told = f"statistics: group {number} of {len(groups)}, {len(names)} tensors"
        make = partial(_of_group, model, names, feeds)
        kept = box.recall(f"{number}", told, progress, make)
        found.update(_unpacked(names, kept))
    return found


def _of_group(model: onnx.ModelProto, names: list[str], feeds: Feeds) -> dict[str, AnyArray]:
    found = {name: Statistics() for name in names}
    for values in watch(model, names, feeds):
        for name in names:
            _check_finite(name, values[name])
            found[name].add(values[name])
    return _packed(found)


def _packed(found: Mapping[str, Statistics]) -> dict[str, AnyArray]:
    """As arrays, one row a tensor."""
    rows = list(found.values())
    return {
        "lows": np.array([s.lows for s in rows]),
        "highs": np.array([s.highs for s in rows]),
        "exponents": np.array([s.histogram.exponent for s in rows]),
        "zeros": np.array([s.histogram.zeros for s in rows]),
        "counts": np.array([s.histogram.counts for s in rows]),
    }


def _unpacked(names: Sequence[str], kept: Mapping[str, AnyArray]) -> dict[str, Statistics]:
    return {
        name: Statistics(
            kept["lows"][i].tolist(),
            kept["highs"][i].tolist(),
            Histogram(int(kept["exponents"][i]), kept["counts"][i], int(kept["zeros"][i])),
        )
        for i, name in enumerate(names)
    }


def watch(model: onnx.ModelProto, names: Sequence[str], feeds: Feeds) -> Iterator[dict[str, F32]]:
    """Values of some tensors, picture by picture.

    Raises:
        CalibrationError: there is no picture.
    """
    inputs = {i.name for i in model.graph.input}
    made = [n for n in names if n not in inputs]
    run = session(model, made) if made else None
    any_came = False
    for feed in feeds:
        any_came = True
        values = dict(zip(made, run.run(made, dict(feed)), strict=True)) if run else {}
        values.update({n: feed[n] for n in names if n in inputs})
        yield values
        values.clear()  # else they would stay while the next picture is computed
    if not any_came:
        raise no_picture()


def channel_peaks(model: onnx.ModelProto, names: Sequence[str], feeds: Feeds) -> dict[str, F64]:
    """Largest absolute value of each channel (axis 1 of (N, C, H, W)), over all pictures.

    Computed inside the graph: only C numbers per tensor leave it.
    """
    shapes = float_tensors(model)
    found: dict[str, F64] = {}
    for group in grouped({name: shapes[name] for name in names}, WATCHED_BYTES):
        watched = with_outputs(model, group)
        peaks = {name: f"{name}/peak" for name in group}
        for name, out in peaks.items():
            watched.graph.node.append(helper.make_node("Abs", [name], [f"{name}/abs"]))
            watched.graph.node.append(
                helper.make_node("ReduceMax", [f"{name}/abs"], [out], axes=[0, 2, 3], keepdims=0)
            )
            watched.graph.output.append(helper.make_empty_tensor_value_info(out))
        for values in watch(watched, list(peaks.values()), feeds):
            for name, out in peaks.items():
                now = values[out].astype(np.float64)
                found[name] = np.maximum(found[name], now) if name in found else now
    return found


def _check_finite(name: str, values: F32) -> None:
    if not np.isfinite(values).all():
        raise CalibrationError(
            f"calibration: tensor {name!r} has values that are not finite in the float graph. "
            "Check the checkpoint; the same picture would break the float engine."
        )
