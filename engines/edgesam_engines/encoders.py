"""An encoder on its way from torch to an engine: float graph, calibration inputs, finishing."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from edgesam_engines import byte_moves, calibrate, graph_edits, pack
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.exported import Exported
from edgesam_engines.families.base import Family
from edgesam_engines.ptq.graphs import Feed, Feeds, Progress
from edgesam_rt.manifest import Preprocess

log = logging.getLogger(__name__)


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

        return Feeds(photos, make, self._digest)

    def _digest(self, photos: Sequence[Path]) -> str:
        """Of the photos' contents, and of what is made of the first: so of how it is made."""
        known = hashlib.sha256(repr((self.shape, self.side, self.preprocess)).encode())
        for path in photos:
            with contextlib.suppress(OSError):  # it is left out with a warning when it is read
                known.update(pack.sha256(path).encode())
        first = calibrate.encoder_feeds(photos[:1], self.side, self.preprocess, self.shape)
        known.update(b"".join(values.tobytes() for values in first))
        return known.hexdigest()

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


def float_encoder(
    family: Family,
    model: nn.Module,
    side: int,
    *,
    for_int8: bool,
    store: Exported | None = None,
    progress: Progress | None = None,
) -> FloatEncoder:
    """Export one encoder.

    Args:
        family: of the model.
        model: as `family.load` gives it.
        side: of its picture, px.
        for_int8: whether it may be arranged for integer kernels, with the same values.
        store: where its graph may lie already, and is kept.
        progress: told where it comes from.
    """
    spec = family.encoder_graph(model, side, for_int8=for_int8)

    def export() -> onnx.ModelProto:
        made = simplify(to_onnx(spec))
        graph_edits.fold_pads(made)
        return made

    facts = (family.name, side, for_int8)
    graph = (store or Exported()).graph(model, facts, export, progress or log.info)
    (shape,) = (tuple(t.shape) for t in spec.inputs.values())
    return FloatEncoder(graph, side, shape, family.preprocess, spec.keep_float)
