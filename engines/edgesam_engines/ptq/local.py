"""What rounding does to each layer by itself: the same input, exact and rounded.

Errors of earlier layers are not in it, so that a layer's figure is about that layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort

from edgesam_engines.ptq.fidelity import decibels
from edgesam_engines.ptq.graphs import (
    Feeds,
    Layer,
    Progress,
    float_tensors,
    grouped,
    layers,
    session,
)
from edgesam_engines.ptq.rounding import Rounding, layer_graph
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.ptq.statistics import WATCHED_BYTES, watch
from edgesam_rt.types import F32, F64, AnyArray


@dataclass
class LocalError:
    """Of one layer's output before its activation, over all pictures.

    Attributes:
        mean: (C,) mean of rounded minus exact, per channel.
        noise: mean square of rounded minus exact.
        signal: mean square of the exact values.
    """

    mean: F64
    noise: float
    signal: float

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise."""
        return decibels(self.noise / self.signal if self.signal else 0.0)


def local_errors(
    model: onnx.ModelProto,
    rounding: Rounding,
    feeds: Feeds,
    progress: Progress | None = None,
    shelf: Shelf | None = None,
) -> dict[str, LocalError]:
    """Errors of all quantized layers, by name.

    Args:
        model: the float graph.
        rounding: of the graph quantized from it.
        feeds: the calibration pictures.
        progress: told of every group of layers.
        shelf: where every group's are kept, and taken from.

    Raises:
        CalibrationError: there is no picture.
    """
    quantized = [
        x for x in layers(model) if x.name in rounding.weights and x.source in rounding.grids
    ]
    found: dict[str, LocalError] = {}
    groups = list(layer_groups(model, quantized))
    box = (shelf or Shelf()).box(model, feeds, "layer errors", rounding.digest, WATCHED_BYTES)
    for number, group in enumerate(groups, 1):
        told = f"layer errors: group {number} of {len(groups)}, {len(group)} layers"
        make = partial(_of_group, model, group, rounding, feeds)
        kept = box.recall(f"{number}", told, progress, make)
        found.update(_unpacked(group, kept))
    return found


def _of_group(
    model: onnx.ModelProto, group: list[Layer], rounding: Rounding, feeds: Feeds
) -> dict[str, AnyArray]:
    runs = {x.name: alone(model, x, rounding) for x in group}
    sums: dict[str, list[LocalError]] = {x.name: [] for x in group}
    for values in watch(model, tensors_of(group), feeds):
        for x in group:
            grid = rounding.grids[x.source]
            rounded = run_layer(runs[x.name], values[x.source], *grid)
            sums[x.name].append(_error(rounded, values[x.output], x.channel_axis))
    return _packed({name: _mean(errors) for name, errors in sums.items()})


def _packed(errors: Mapping[str, LocalError]) -> dict[str, AnyArray]:
    """As arrays: the means of each layer, and noise and signal of all, in their order."""
    means = {f"mean_{i}": e.mean for i, e in enumerate(errors.values())}
    return {**means, "powers": np.array([(e.noise, e.signal) for e in errors.values()])}


def _unpacked(group: list[Layer], kept: Mapping[str, AnyArray]) -> dict[str, LocalError]:
    return {
        x.name: LocalError(kept[f"mean_{i}"], *map(float, kept["powers"][i]))
        for i, x in enumerate(group)
    }


def layer_groups(model: onnx.ModelProto, chosen: list[Layer]) -> Iterator[list[Layer]]:
    """Layers whose inputs and outputs fit into memory together."""
    shapes = float_tensors(model)
    sizes = {
        x.name: (int(np.prod(shapes[x.source])) + int(np.prod(shapes[x.output])),) for x in chosen
    }
    by_name: Mapping[str, Layer] = {x.name: x for x in chosen}
    return ([by_name[n] for n in names] for names in grouped(sizes, WATCHED_BYTES))


def tensors_of(group: list[Layer]) -> list[str]:
    """What a group of layers reads and makes, each once."""
    return list(dict.fromkeys(name for x in group for name in (x.source, x.output)))


def alone(model: onnx.ModelProto, layer: Layer, rounding: Rounding) -> ort.InferenceSession:
    """A session of one rounded layer."""
    return session(layer_graph(model, layer, rounding))


def run_layer(run: ort.InferenceSession, x: F32, scale: object, zero_point: object) -> F32:
    """What a rounded layer makes of exact values on a grid."""
    feed = {
        "x": x,
        "scale": np.asarray(scale, np.float32),
        "zero_point": np.asarray(zero_point),
    }
    made: F32 = run.run(["y"], feed)[0]
    return made


def _error(rounded: F32, exact: F32, channel_axis: int) -> LocalError:
    difference = rounded - exact
    axis = channel_axis % exact.ndim
    others = tuple(i for i in range(exact.ndim) if i != axis)
    return LocalError(
        difference.mean(others, dtype=np.float64),
        float(np.mean(np.square(difference), dtype=np.float64)),
        float(np.mean(np.square(exact), dtype=np.float64)),
    )


def _mean(errors: list[LocalError]) -> LocalError:
    return LocalError(
        np.mean([e.mean for e in errors], 0),
        float(np.mean([e.noise for e in errors])),
        float(np.mean([e.signal for e in errors])),
    )
