"""Checkpoints that are graphs themselves: taken as they are, run beside engines made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property

import numpy as np
import onnx
import onnxruntime as ort
import torch
from msgspec import structs
from torch import Tensor, nn

from edgesam_engines.ptq.graphs import copied, session
from edgesam_engines.recipe import Recipe


class OnnxNetwork(nn.Module):
    """A float ONNX graph of one picture, where other families have a module of torch.

    Args:
        graph: simplified; its input is (1, 3, S, S) float32.
        remarks: what whoever builds from it should know.

    Attributes:
        side: S, px.
    """

    digest: Tensor

    def __init__(self, graph: onnx.ModelProto, remarks: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.graph, self.remarks = graph, remarks
        self.side = int(graph.graph.input[0].type.tensor_type.shape.dim[2].dim_value)
        known = hashlib.sha256(graph.SerializeToString(deterministic=True)).digest()
        # The state of it that tells one from another, as weights do for modules.
        self.register_buffer("digest", torch.from_numpy(np.frombuffer(known, np.uint8).copy()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The graph's outputs in their order, in float by ONNX Runtime."""
        (source,) = (i.name for i in self.graph.graph.input)
        return tuple(map(torch.from_numpy, self._session.run(None, {source: pixels.numpy()})))

    def exported(self) -> onnx.ModelProto:
        """The graph, to be changed."""
        return copied(self.graph)

    @cached_property
    def _session(self) -> ort.InferenceSession:
        return session(self.graph)


def fitted(recipe: Recipe, model: nn.Module, progress: Callable[[str], None]) -> Recipe:
    """A recipe with the side of a network that has but one; what is remarkable of it is told."""
    if not isinstance(model, OnnxNetwork):
        return recipe
    for remark in model.remarks:
        progress(remark)
    return structs.replace(recipe, sides=(model.side,))
