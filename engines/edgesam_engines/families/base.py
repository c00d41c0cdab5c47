"""What the factory needs of a model family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from edgesam_rt.manifest import DecoderFacts, Part, Preprocess


@dataclass(frozen=True)
class GraphSpec:
    """One graph to export.

    Attributes:
        module: in eval mode; takes and returns tensors in the order of the names below.
        inputs: example inputs by name.
        outputs: names of the outputs.
        free_axes: per tensor name, which axes are free, and what to call them.
        keep_float: outputs whose last operation must not be quantized.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    free_axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    keep_float: tuple[str, ...] = ()


class Family(Protocol):
    """One architecture: how to load its weights, and which graphs it becomes.

    Attributes:
        name: as in bundles and recipes.
        preprocess: how a picture becomes the encoder's input.
        decoder: what the runtime must know of the decoder.
        layouts: of tensors that only this family has, by name.
    """

    name: str
    preprocess: Preprocess
    decoder: DecoderFacts
    layouts: Mapping[str, str]

    def load(self, checkpoint: Path) -> nn.Module:
        """Read a checkpoint; the module is in eval mode on the CPU.

        Raises:
            CheckpointError: it is not a checkpoint of this family.
        """
        ...

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        """The encoder at one side; `for_int8` may arrange it for integer kernels, same values."""
        ...

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """Parts of the decoder by name ("decoder", or "scorer" and "mask_head").

        Args:
            model: as `load` gives it.
            side: of the encoder.
            whole: for runtimes that want fixed shapes: embeddings are not cut to the picture, and a
                last input `covered_hw` says what it covers of them; the answers are the same.
        """
        ...
