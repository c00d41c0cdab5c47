"""Error-guided search: ranges chosen by the error of the layers that read a tensor.

TinySAM (Shu et al. 2023, "TinySAM: Pushing the Envelope for Efficient Segment Anything Model")
tries scales between 0.01 and 1.2 times the largest value and keeps the one with the
least squared error of the layer's output, weighted by the squared gradient of the task's loss. An
ONNX graph has no backward pass, so there is no gradient here. The error is that of the output after
its activation (what a ReLU6 cuts is no error), relative to the output's power, so that several
readers of one tensor count alike. Scales over 1 are left out: see `estimators`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx

from edgesam_engines.ptq.estimators import candidates, mse, relative_error
from edgesam_engines.ptq.graphs import (
    Feeds,
    Layer,
    Progress,
    constants,
    layers,
    moved_together,
    operations,
)
from edgesam_engines.ptq.local import alone, layer_groups, run_layer, tensors_of
from edgesam_engines.ptq.ranges import Range
from edgesam_engines.ptq.rounding import Rounding
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.ptq.statistics import Statistics, watch
from edgesam_engines.recipe import Calibration
from edgesam_rt.types import F64, AnyArray

PICTURES = 8  # as many as TinySAM calibrates on; each is run once per candidate
_SHRINKS = np.linspace(1.0, 0.3, 15)
_AROUND_MSE = np.array([1.0, 0.9, 0.8])
_UINT8 = 255
Tried = dict[str, list[Range]]


def error_guided(
    model: onnx.ModelProto,
    statistics: Mapping[str, Statistics],
    rounding: Rounding,
    feeds: Feeds,
    progress: Progress | None = None,
    shelf: Shelf | None = None,
) -> dict[str, Range]:
    """A range for every tensor that has statistics.

    Operations without weights that read a tensor (a sum) count with the error of its own values;
    tensors that only such operations read get the range `estimators.mse` gives.

    Args:
        model: the float graph.
        statistics: of its tensors.
        rounding: of any quantized form of it; only its weights are used.
        feeds: the calibration pictures; some are used.
        progress: told of every group of layers.
        shelf: where every group's errors are kept, and taken from.
    """
    found = {name: mse(s, Calibration()) for name, s in statistics.items()}
    first = moved_together(model)
    used = [x for x in layers(model) if x.name in rounding.weights and first[x.source] in found]
    by_layer = Counter(first[x.source] for x in used)
    tried: Tried = {
        name: [
            *candidates(statistics[name].extremes, _SHRINKS),
            *candidates(found[name], _AROUND_MSE),
        ]
        for name in by_layer
    }
    few = feeds.few(PICTURES)
    errors = _layer_errors(model, used, tried, rounding, few, progress, shelf or Shelf())
    others = _readers_without_weights(model, first, used)
    for name, ranges in tried.items():
        own = np.array([relative_error(statistics[name], *r) for r in ranges])
        found[name] = ranges[int(np.argmin(errors[name] + others[name] * own))]
    return found


def _layer_errors(
    model: onnx.ModelProto,
    used: list[Layer],
    tried: Tried,
    rounding: Rounding,
    feeds: Feeds,
    progress: Progress | None,
    shelf: Shelf,
) -> dict[str, F64]:
    """Relative squared error of the layers behind each tensor, per range, mean of the pictures."""
    errors = {name: np.zeros(len(ranges)) for name, ranges in tried.items()}
    first = moved_together(model)
    groups = list(layer_groups(model, used))
    box = shelf.box(model, feeds, "scale search", rounding.digest, sorted(tried.items()))
    for number, group in enumerate(groups, 1):
        told = f"scale search: group {number} of {len(groups)}, {len(group)} layers"
        asked = [(x, tried[first[x.source]]) for x in group]
        make = partial(_of_group, model, asked, rounding, feeds)
        kept = box.recall(f"{number}", told, progress, make)
        for i, x in enumerate(group):
            errors[first[x.source]] += kept[f"{i}"]
    return errors


def _numbered(rows: list[F64]) -> dict[str, F64]:
    return {f"{i}": row for i, row in enumerate(rows)}


def _of_group(
    model: onnx.ModelProto,
    asked: list[tuple[Layer, list[Range]]],
    rounding: Rounding,
    feeds: Feeds,
) -> dict[str, F64]:
    """Of each layer: its relative squared error per range it was to be tried with."""
    group = [x for x, _ in asked]
    runs = [alone(model, x, rounding) for x in group]
    limits = [activation_limits(model, x) for x in group]
    sums = [np.zeros(len(ranges)) for _, ranges in asked]
    seen = 0
    for values in watch(model, tensors_of(group), feeds):
        seen += 1
        for (x, ranges), run, cut, total in zip(asked, runs, limits, sums, strict=True):
            exact = values[x.output].clip(*cut)
            power = float(np.vdot(exact, exact)) or 1.0
            for i, ends in enumerate(ranges):
                missed = run_layer(run, values[x.source], *grid(*ends)).clip(*cut) - exact
                total[i] += float(np.vdot(missed, missed)) / power
    return _numbered([total / max(seen, 1) for total in sums])


def _readers_without_weights(
    model: onnx.ModelProto, first: Mapping[str, str], used: list[Layer]
) -> Counter[str]:
    """How many operations read each tensor that are no layers and do not only move it."""
    weighted = {x.name for x in used}
    return Counter(
        first[name]
        for node in operations(model)
        if node.name not in weighted
        for name in node.input
        if name in first
    )


def grid(low: float, high: float) -> tuple[AnyArray, AnyArray]:
    """Scale and zero point of uint8 for a range, as ONNX Runtime's quantizer makes them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / _UINT8) or np.float32(1.0)
    return np.asarray(scale, np.float32), np.asarray(np.round(-low / scale), np.uint8)


def activation_limits(model: onnx.ModelProto, layer: Layer) -> tuple[float, float]:
    """What a layer's activation cuts at; infinite where it does not."""
    if layer.activation is None:
        return -np.inf, np.inf
    if layer.activation.op_type == "Relu":
        return 0.0, np.inf
    known = constants(model)
    ends = [float(known[n]) if n in known else None for n in layer.activation.input[1:]]
    low, high = [*ends, None, None][:2]
    return -np.inf if low is None else low, np.inf if high is None else high
