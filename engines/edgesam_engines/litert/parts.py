"""Decoder parts as LiteRT files: one per part, with a signature for every side and bucket.

LiteRT wants fixed shapes; so a part is translated once for every encoder side and every number of
prompts that it shall take at once. The weights are the same, and are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
import torch

from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.translate import add_graph
from edgesam_rt.manifest import Part


@dataclass(frozen=True)
class Bucket:
    """What one call of an engine takes.

    Attributes:
        prompts: at once.
        points: and box corners, of each.
        earlier_masks: rows of `mask_input`: one for all prompts, or one each.
    """

    prompts: int
    points: int
    earlier_masks: int

    @property
    def lengths(self) -> dict[str, int]:
        """Of the free axes of a decoder's tensors, by name."""
        return {
            "prompts": self.prompts,
            "points": self.points,
            "earlier_masks": self.earlier_masks,
        }


# One prompt of a person, some of a tracker, and what everything mode asks: points and boxes.
BUCKETS: dict[Part, tuple[Bucket, ...]] = {
    "scorer": (Bucket(1, 5, 1), Bucket(8, 5, 8), Bucket(64, 2, 1)),
    "mask_head": (Bucket(1, 5, 1), Bucket(4, 5, 4), Bucket(16, 5, 1)),
    # SAM's: five clicks and their padding point, all that a prompt may have, everything mode.
    "decoder": (Bucket(1, 6, 1), Bucket(1, 33, 1), Bucket(4, 6, 4), Bucket(16, 2, 1)),
}
Fixed = Callable[[Mapping[str, int]], onnx.ModelProto]  # a graph, for lengths of its free axes


def part_file(part: Part, by_side: Mapping[int, Fixed]) -> bytes:
    """A decoder part for these sides and all its buckets.

    Args:
        part: which.
        by_side: the part for whole embeddings, of every side.
    """
    file = File(f"edgesam_rt {part}")
    for side, graph in by_side.items():
        for bucket in BUCKETS[part]:
            add_graph(file, graph(bucket.lengths), signature(side, bucket))
    return file.content()


def exported(spec: GraphSpec) -> Fixed:
    """Of torch: exported anew for every lengths."""
    return lambda lengths: simplify(to_onnx(fixed(spec, lengths)))


def bound(model: onnx.ModelProto) -> Fixed:
    """Of an ONNX graph with free axes."""
    return lambda lengths: simplify(with_lengths(model, lengths))


def with_lengths(model: onnx.ModelProto, lengths: Mapping[str, int]) -> onnx.ModelProto:
    """A copy whose inputs' and outputs' free axes have these lengths."""
    made: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*made.graph.input, *made.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in lengths:
                dim.dim_value = lengths[dim.dim_param]
    return made


def signature(side: int, bucket: Bucket) -> str:
    """The name that callers with fixed shapes (Android) ask for."""
    return f"side{side}_prompts{bucket.prompts}_points{bucket.points}"


def fixed(spec: GraphSpec, lengths: Mapping[str, int]) -> GraphSpec:
    """A graph whose free axes have these lengths; others keep those of its example inputs."""
    inputs = {
        name: torch.zeros(_lengths(tensor.shape, spec.free_axes.get(name, {}), lengths))
        for name, tensor in spec.inputs.items()
    }
    return replace(spec, inputs=inputs, free_axes={})


def _lengths(
    shape: Sequence[int], free: Mapping[int, str], lengths: Mapping[str, int]
) -> list[int]:
    return [lengths.get(free.get(axis, ""), n) for axis, n in enumerate(shape)]
