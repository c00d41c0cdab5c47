"""Small float graphs with what quantization meets in encoders, and pictures for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from onnx import ModelProto, helper

from edgesam_engines.ptq.apply import Source
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_rt.types import AnyArray
from tests.engines.graph_doubles import make_graph, noise

SHAPE = (1, 3, 12, 12)


def pictures(count: int = 6, first: int = 0) -> Feeds:
    """Normal noise, the same bits every time."""

    def make(seeds: Sequence[int]) -> Iterator[Feed]:
        for seed in seeds:
            yield {"x": noise(SHAPE, seed)}

    return Feeds(range(first, first + count), make)


def bottleneck(seed: int = 0, *, uneven: float = 1.0) -> ModelProto:
    """Two inverted bottlenecks with a sum, then a movement of values, then an output convolution.

    `uneven` spreads the sizes of the channels of the linear stream over that factor.
    """
    sizes = np.geomspace(1, uneven, 6).astype(np.float32)[:, None, None, None]
    values: dict[str, AnyArray] = {
        "ws": noise((6, 3, 1, 1), seed + 1) * sizes,
        "bs": noise((6,), seed + 2),
        "we": noise((12, 6, 1, 1), seed + 3) / 2 / sizes.reshape(1, 6, 1, 1),
        "be": noise((12,), seed + 4),
        "wd": noise((12, 1, 3, 3), seed + 5) / 2,
        "bd": noise((12,), seed + 6),
        "wp": noise((6, 12, 1, 1), seed + 7) / 4 * sizes,
        "bp": noise((6,), seed + 8),
        "wo": noise((4, 6, 1, 1), seed + 9) / sizes.reshape(1, 6, 1, 1),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
        "flat": np.array([1, 4, 144], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "ws", "bs"], ["s"], "start"),
        helper.make_node("Conv", ["s", "we", "be"], ["e"], "expand"),
        helper.make_node("Clip", ["e", "zero", "six"], ["e6"], "expand_act"),
        helper.make_node(
            "Conv", ["e6", "wd", "bd"], ["d"], "depthwise", pads=[1, 1, 1, 1], group=12
        ),
        helper.make_node("Clip", ["d", "zero", "six"], ["d6"], "depthwise_act"),
        helper.make_node("Conv", ["d6", "wp", "bp"], ["p"], "project"),
        helper.make_node("Add", ["s", "p"], ["sum"], "sum"),
        helper.make_node("Conv", ["sum", "wo"], ["o"], "out"),
        helper.make_node("Reshape", ["o", "flat"], ["y"], "move"),
    ]
    return make_graph(nodes, inputs={"x": SHAPE}, outputs={"y": (1, 4, 144)}, values=values)


def source(model: ModelProto | None = None, count: int = 6) -> Source:
    """A graph and pictures for it."""
    return Source(model or bottleneck(), pictures(count))
