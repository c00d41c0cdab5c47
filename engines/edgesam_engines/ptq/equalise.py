"""Cross-layer equalisation: channels of one tensor brought to one size, so that one scale fits all.

A tensor has one scale for all its channels; a channel a tenth as large as the largest keeps 26 of
256 levels. Its values may be multiplied by s where they are made and divided by s where they are
read, and nothing else changes (Nagel et al. 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction", section 4.1). Tensors that sums tie together share their factors.

Factors balance the tensor against the weights that read it: the root of peak over weight (Xiao et
al. 2022, "SmoothQuant", equation 4, alpha 0.5); where only depthwise convolutions read it, the peak
alone, for their weights have a scale per channel anyway. They are powers of two: multiplying and
dividing by them is exact, so the float graph gives the same bits as before.

ReLU6 stands in the way: it cuts at 6, and after scaling at another value. "exact" therefore leaves
such tensors alone. "calibrated" scales those channels up that came nowhere near 6: the cut moves to
above the largest value seen, which for pictures unlike the calibration's is not the same graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx

from edgesam_engines.ptq.graphs import (
    Feeds,
    constants,
    copied,
    float_tensors,
    readers,
    replace_constant,
)
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.ptq.statistics import channel_peaks
from edgesam_rt.types import F32, F64, AnyArray

Mode = Literal["exact", "calibrated"]
HEADROOM = 1.1  # over the largest value seen, before a moved ReLU6 cuts
BALANCE = 0.5  # between a tensor and the weights that read it, if nothing is said
_LEAST = 2.0**-6  # of a factor
_SPATIAL = [2, 3]


@dataclass
class Stream:
    """Tensors whose channels can be scaled together.

    Attributes:
        tensors: their names.
        producers, consumers: convolutions that make, and that read them.
        cut: where a Clip inside ends; infinite without one.
        blocked: whether something reads or makes them that cannot be scaled.
    """

    tensors: list[str] = field(default_factory=list)
    producers: list[onnx.NodeProto] = field(default_factory=list)
    consumers: list[onnx.NodeProto] = field(default_factory=list)
    cut: float = np.inf
    blocked: bool = False


def equalised(
    model: onnx.ModelProto,
    feeds: Feeds,
    mode: Mode,
    balance: float = BALANCE,
    shelf: Shelf | None = None,
) -> tuple[onnx.ModelProto, dict[str, int]]:
    """A copy of a float graph with equalised streams.

    Args:
        model: the float graph, shapes inferred.
        feeds: the calibration pictures.
        mode: see the module.
        balance: how much of a tensor's unevenness goes to the weights that read it, in [0, 1].
        shelf: where peaks are kept, and taken from.

    Returns:
        The graph, and the number of streams and channels that were scaled.

    Raises:
        CalibrationError: there is no picture.
    """
    out = copied(model)
    usable = [s for s in streams(model) if mode == "calibrated" or np.isinf(s.cut)]
    peaks = _peaks(model, [n for s in usable for n in s.tensors], feeds, shelf or Shelf())
    values = constants(model)
    scaled = channels = 0
    for stream in usable:
        factors = stream_factors(stream, peaks, values, balance)
        if np.any(factors != 1):
            _scale(out, stream, factors)
            scaled += 1
            channels += int(np.count_nonzero(factors != 1))
    return out, {"streams": scaled, "channels": channels}


def _peaks(model: onnx.ModelProto, names: list[str], feeds: Feeds, shelf: Shelf) -> dict[str, F64]:
    """Largest absolute value of each channel of some tensors."""
    if not names:
        return {}
    box = shelf.box(model, feeds, "peaks", names)
    kept = box.take("peaks")
    if kept is None:
        found = channel_peaks(model, names, feeds)
        kept = {f"{i}": found[name] for i, name in enumerate(names)}
        box.put("peaks", kept)
    return {name: np.asarray(kept[f"{i}"], np.float64) for i, name in enumerate(names)}


def streams(model: onnx.ModelProto) -> list[Stream]:
    """The streams of a graph that can be scaled at all, in its order."""
    shapes, values = float_tensors(model), constants(model)
    maps = [name for name, shape in shapes.items() if len(shape) == 4]
    ties = _Ties(maps)
    for value in [*model.graph.input, *model.graph.output]:
        ties.block([value.name])
    read = readers(model)
    for node in model.graph.node:
        if node.op_type == "Conv" and _has_own_weights(node, values, read):
            ties.join([node.output[0]]).producers.append(node)
            ties.join([node.input[0]]).consumers.append(node)
        elif node.op_type == "Add" and _same_channels(node, shapes):
            ties.join([*node.input, *node.output])
        elif _is_spatial_mean(node) or node.op_type == "Relu":
            ties.join([node.input[0], node.output[0]])
        elif (gate := _gate(node, shapes)) is not None:
            ties.block([gate])
            ties.join([*(n for n in node.input if n != gate), *node.output])
        elif node.op_type == "Clip" and _cuts_below_at_zero(node, values):
            stream = ties.join([node.input[0], node.output[0]])
            stream.cut = min(stream.cut, _upper(node, values))
        else:
            ties.block([*node.input, *node.output])
    found = {id(s): s for s in ties.of.values()}
    return [s for s in found.values() if s.producers and s.consumers and not s.blocked]


class _Ties:
    """Which stream each map belongs to."""

    def __init__(self, maps: Iterable[str]) -> None:
        self.of = {name: Stream([name]) for name in maps}

    def join(self, names: Iterable[str]) -> Stream:
        """Make one stream of those of some tensors."""
        known = {id(self.of[n]): self.of[n] for n in names if n in self.of}
        first, *others = known.values() or [Stream()]
        for other in others:
            first.tensors += other.tensors
            first.producers += other.producers
            first.consumers += other.consumers
            first.cut = min(first.cut, other.cut)
            first.blocked |= other.blocked
            self.of.update(dict.fromkeys(other.tensors, first))
        return first

    def block(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.of:
                self.of[name].blocked = True


def stream_factors(
    stream: Stream,
    peaks: Mapping[str, F64],
    values: Mapping[str, AnyArray],
    balance: float = BALANCE,
) -> F64:
    """What each channel's values are divided by: powers of two, at most 1."""
    peak = np.max([peaks[name] for name in stream.tensors], 0)
    dense = [_read_weights(n, values) for n in stream.consumers if _group(n) == 1]
    weight = np.max(dense, 0) if dense else np.ones_like(peak)
    alive = (peak > 0) & (weight > 0)
    if not alive.any():
        return np.ones_like(peak)
    wanted = np.ones_like(peak)
    wanted[alive] = (
        peak[alive] ** balance / weight[alive] ** (1 - balance) if dense else peak[alive]
    )
    wanted[alive] /= wanted[alive].max()
    factors = np.exp2(np.round(np.log2(wanted))).clip(_LEAST, 1.0)
    if np.isfinite(stream.cut):
        least = np.exp2(np.ceil(np.log2(np.maximum(HEADROOM * peak / stream.cut, _LEAST))))
        factors = np.maximum(factors, least).clip(None, 1.0)
    factors[~alive] = 1.0
    return np.asarray(factors, np.float64)


def _scale(model: onnx.ModelProto, stream: Stream, factors: F64) -> None:
    """Divide what the stream's producers make, multiply what its consumers read, in place."""
    for node in stream.producers:
        values = constants(model)
        weight = values[node.input[1]]
        replace_constant(model, node.input[1], _float(weight / factors.reshape(-1, 1, 1, 1)))
        if len(node.input) > 2:
            replace_constant(model, node.input[2], _float(values[node.input[2]] / factors))
    for node in stream.consumers:
        weight = constants(model)[node.input[1]]
        outputs, per_group = weight.shape[:2]
        group = _group(node)
        by_group = factors.reshape(group, 1, per_group, 1, 1)
        grouped = weight.reshape(group, outputs // group, per_group, *weight.shape[2:])
        replace_constant(model, node.input[1], _float((grouped * by_group).reshape(weight.shape)))


def _read_weights(node: onnx.NodeProto, values: Mapping[str, AnyArray]) -> F64:
    """Largest absolute weight that reads each channel of an ungrouped convolution's input."""
    weight = values[node.input[1]].astype(np.float64)
    return np.asarray(np.abs(weight).max((0, 2, 3)), np.float64)


def _float(values: AnyArray) -> F32:
    return np.asarray(values, np.float32)


def _group(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _has_own_weights(
    node: onnx.NodeProto, values: Mapping[str, AnyArray], read: Mapping[str, list[onnx.NodeProto]]
) -> bool:
    own = [name for name in node.input[1:] if name]
    return all(name in values and len(read[name]) == 1 for name in own)


def _same_channels(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    known = [shapes.get(name, ()) for name in node.input]
    return all(len(shape) == 4 for shape in known) and len({shape[1] for shape in known}) == 1


def _is_spatial_mean(node: onnx.NodeProto) -> bool:
    axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
    keeps = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
    reduces = (
        node.op_type == "ReduceMean" and bool(keeps) and sorted(i % 4 for i in axes) == _SPATIAL
    )
    return reduces or node.op_type == "GlobalAveragePool"


def _gate(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The input of a product that weights another one's channels, (1, C, 1, 1); None without."""
    if node.op_type != "Mul":
        return None
    known = [shapes.get(name, ()) for name in node.input]
    gates = [i for i, s in enumerate(known) if len(s) == 4 and s[2:] == (1, 1)]
    if len(gates) != 1 or any(len(s) != 4 for s in known) or known[0][1] != known[1][1]:
        return None
    return str(node.input[gates[0]])


def _cuts_below_at_zero(node: onnx.NodeProto, values: Mapping[str, AnyArray]) -> bool:
    lower = values.get(node.input[1]) if len(node.input) > 1 else None
    return lower is not None and float(lower) == 0.0


def _upper(node: onnx.NodeProto, values: Mapping[str, AnyArray]) -> float:
    name = node.input[2] if len(node.input) > 2 else ""
    return float(values[name]) if name in values else float("inf")
