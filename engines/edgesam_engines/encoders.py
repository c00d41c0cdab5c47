"""An encoder on its way from torch to an engine: float graph, calibration inputs, finishing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from edgesam_engines import byte_moves, calibrate, graph_edits
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.families.base import Family
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_rt.manifest import Preprocess


@dataclass(frozen=True)
class FloatEncoder:
    """An encoder in float, as it is quantized.

    Attributes:
        graph: shapes inferred, constants folded.
        side: of its picture, px.
        shape: of its input, (1, C, H, W), where C may be grouped pixels.
        preprocess: how a picture becomes that.
        keep_float: outputs whose last operation must not be quantized.
    """

    graph: onnx.ModelProto
    side: int
    shape: tuple[int, ...]
    preprocess: Preprocess
    keep_float: tuple[str, ...]

    def feeds(self, photos: Sequence[Path]) -> Feeds:
        """Its inputs over photos, read anew in every pass."""
        (source,) = (i.name for i in self.graph.graph.input)

        def make(paths: Sequence[Path]) -> Iterator[Feed]:
            for values in calibrate.encoder_feeds(paths, self.side, self.preprocess, self.shape):
                yield {source: values}

        return Feeds(photos, make)

    @property
    def known(self) -> dict[str, tuple[float, float]]:
        """The range of its input: bytes, whatever the calibration photos show of them."""
        (source,) = (i.name for i in self.graph.graph.input)
        mean, std = np.array(self.preprocess.mean), np.array(self.preprocess.std)
        return {source: (float(((0 - mean) / std).min()), float(((255 - mean) / std).max()))}

    def finish(self, graph: onnx.ModelProto) -> None:
        """Make this graph, or one quantized from it, an engine, in place.

        A quantized one moves values as bytes; either takes uint8 pixels, if the bundle is to.
        """
        if any(n.op_type == "QuantizeLinear" for n in graph.graph.node):
            byte_moves.move_bytes(graph)
            byte_moves.join_bytes(graph)
        if not self.preprocess.normalised_in_engine:
            graph_edits.sort_nodes(graph)
            return
        _, channels, height, width = self.shape
        mean, std = self.preprocess.mean[0], self.preprocess.std[0]
        graph_edits.take_uint8_pixels(graph, (1, height, width, channels), mean, std)


def float_encoder(family: Family, model: nn.Module, side: int, *, for_int8: bool) -> FloatEncoder:
    """Export one encoder; `for_int8` may arrange it for integer kernels, same values."""
    spec = family.encoder_graph(model, side, for_int8=for_int8)
    graph = simplify(to_onnx(spec))
    graph_edits.fold_pads(graph)
    (shape,) = (tuple(t.shape) for t in spec.inputs.values())
    return FloatEncoder(graph, side, shape, family.preprocess, spec.keep_float)
