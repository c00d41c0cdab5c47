"""Where in a finished INT8 encoder the values part from the float model's: its worst layers.

Each layer's output in the whole quantized graph, rounded, is compared with the same tensor of the
float graph, on a photo. What a layer adds is the noise of its output less that of its input, both
in parts of the exact values' squares: a layer that only passes noise on is not to blame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx

from edgesam_engines import calibrate
from edgesam_engines.encoders import FloatEncoder
from edgesam_engines.ptq.fidelity import decibels, likeness
from edgesam_engines.ptq.graphs import (
    Feed,
    Layer,
    Progress,
    float_tensors,
    grouped,
    layers,
    makers,
    readers,
    session,
)
from edgesam_rt.preprocess import fit_for, normalised, to_square, to_tensor
from edgesam_rt.types import F32, U8

SHOWN = 10
WATCHED_BYTES = 256 << 20  # of tensors compared at once


class Seen(NamedTuple):
    """One tensor beside the exact one: cosine, and noise in parts of the exact one's squares."""

    cosine: float
    noise: float


def worst_layers(
    engine: onnx.ModelProto, encoder: FloatEncoder, pixels: U8, progress: Progress
) -> list[dict[str, Any]]:
    """Layers by the noise that they add, the most first.

    Args:
        engine: the quantized encoder, as the bundle has it.
        encoder: the float one that it was made from.
        pixels: a picture, (H, W, 3) uint8 RGB.
        progress: told of every group of tensors.

    Returns:
        SHOWN layers: name, kind, cosine and signal-to-noise ratio (dB) of the output where it
        stands, and `added_noise`, in parts of the exact values' squares.
    """
    places = _places(engine)
    every = [x for x in layers(encoder.graph) if end(x) in places]
    names = {n for x in every for n in (x.source, end(x)) if n in places}
    seen = _compared(engine, encoder, pixels, {n: places[n] for n in names}, progress)
    rows = sorted(every, key=lambda x: -_added(x, seen))
    return [_row(x, seen) for x in rows[:SHOWN]]


def _places(engine: onnx.ModelProto) -> dict[str, str]:
    """Under which name an engine has what the float graph calls so: rounded, if it is rounded."""
    read = readers(engine)
    found = {n: n for n in (*makers(engine), *(i.name for i in engine.graph.input))}
    for node in engine.graph.node:
        if node.op_type == "QuantizeLinear":
            behind = read.get(node.output[0], [])
            back = [n.output[0] for n in behind if n.op_type == "DequantizeLinear"]
            if back:
                found[node.input[0]] = back[0]
            else:
                found.pop(node.input[0], None)  # moved on as bytes: no floats to compare
    return found


def end(layer: Layer) -> str:
    """What a layer makes, its activation included."""
    return layer.output if layer.activation is None else layer.activation.output[0]


def _added(layer: Layer, seen: Mapping[str, Seen]) -> float:
    before = seen.get(layer.source)
    return seen[end(layer)].noise - (before.noise if before is not None else 0.0)


def _row(layer: Layer, seen: Mapping[str, Seen]) -> dict[str, Any]:
    here = seen[end(layer)]
    return {
        "name": layer.name,
        "kind": layer.kind,
        "cosine": round(here.cosine, 5),
        "sqnr_db": round(decibels(here.noise), 1),
        "added_noise": round(_added(layer, seen), 6),
    }


def _compared(
    engine: onnx.ModelProto,
    encoder: FloatEncoder,
    pixels: U8,
    places: Mapping[str, str],
    progress: Progress,
) -> dict[str, Seen]:
    """Tensors of the float graph beside those in their places in the engine, some at a time."""
    shapes = {n: s for n, s in float_tensors(encoder.graph).items() if n in places}
    exact_feed, feed = _feeds(engine, encoder, pixels)
    found: dict[str, Seen] = {}
    groups = list(grouped(shapes, WATCHED_BYTES))
    for number, group in enumerate(groups, 1):
        progress(f"worst layers: group {number} of {len(groups)}, {len(group)} tensors")
        exact = _values(encoder.graph, group, exact_feed)
        values = _values(engine, [places[n] for n in group], feed)
        for name, want, got in zip(group, exact, values, strict=True):
            found[name] = Seen(*likeness(_at_size(got, want), want))
    return found


def _at_size(made: F32, exact: F32) -> F32:
    """Values with each channel at its exact size: equalisation scaled it by a power of two."""
    if made.ndim != 4:
        return made
    axes = (0, 2, 3)
    wanted, own = (np.square(v).mean(axes, keepdims=True) for v in (exact, made))
    alive = (wanted > 0) & (own > 0)
    ratio = np.where(alive, wanted, 1.0) / np.where(alive, own, 1.0)
    return np.asarray(made * np.exp2(np.round(np.log2(ratio) / 2)), np.float32)


def _values(model: onnx.ModelProto, names: list[str], feed: Feed) -> Iterator[F32]:
    """Of tensors of a graph, which may be its input."""
    computed = [n for n in names if n not in feed]
    values = session(model, computed).run(computed, dict(feed)) if computed else []
    by_name = {**feed, **dict(zip(computed, values, strict=True))}
    return (by_name[n] for n in names)


def _feeds(engine: onnx.ModelProto, encoder: FloatEncoder, pixels: U8) -> tuple[Feed, Feed]:
    """The picture as the float graph takes it, and as the engine does."""
    rule = encoder.preprocess
    fit = fit_for((pixels.shape[0], pixels.shape[1]), encoder.side, rule)
    square = to_square(pixels, fit, rule)
    (exact,), (own,) = encoder.graph.graph.input, engine.graph.input
    grouped_pixels = calibrate.as_input(normalised(square, fit, rule), encoder.shape)
    return {exact.name: grouped_pixels}, {own.name: to_tensor(square, fit, rule)}
